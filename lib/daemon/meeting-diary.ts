import { compareBytes, concatBytes, equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import { hashBytes, hashIn } from '../crypto/hash.ts';

const magic = 'kithmeet';
const version = 1;

/** Days that are kept: this week and the one before. */
export const diaryDaysMax = 14;

/** Friends that are noted: more nobody has (trust/friends-book.ts). */
export const diaryFriendsMax = 1024;

/** A week, today included. */
export const weekDays = 7;

/** On fewer days in the week than these nothing is said: who was away for a weekend isn't lost. */
export const daysMin = 3;

/** Sentences that people are shown, and friends whose pairs are looked at. */
const sentencesMax = 8;
const pairFriendsMax = 64;

export const diaryBytesMax: number = 1024 * 1024;

const dayMs = 86_400_000;
const hourMs = 3_600_000;
const hoursMask = 0xffffff;

/** One day, by UTC: bit h of a mask is hour h. */
export interface DiaryDay {
  /** Days since 1970. */
  readonly day: number;
  /** Hours in which this computer was up. */
  up: number;
  /** Hours in which a friend was online with it, by id in hex; 0 for one that was looked for in vain. */
  readonly friends: Map<string, number>;
}

/** The file's bytes (docs/formats/store.md). */
export function encodeDiary(days: readonly DiaryDay[]): Uint8Array {
  const writer = new ByteWriter().varint(days.length);
  for (const { day, up, friends } of days) {
    writer.u32(day).u32(up).varint(friends.size);
    const sorted = [...friends].map(([id, mask]) => ({ id: fromHex(id) ?? new Uint8Array(0), mask }));
    sorted.sort((a, b) => compareBytes(a.id, b.id));
    for (const { id, mask } of sorted) writer.bytes(id).u32(mask);
  }
  const body = concatBytes(fileHead(magic, version), writer.finish());
  return concatBytes(body, hashIn('checksum', body));
}

/** KithError `malformed` or `too-new`. */
export function decodeDiary(bytes: Uint8Array): DiaryDay[] {
  const reader = new ByteReader(bytes, 'diary');
  readFileHead(reader, magic, version);
  const days: DiaryDay[] = [];
  const mask = (): number => {
    const value = reader.u32();
    if (value > hoursMask) throw reader.fail('more hours than a day has');
    return value;
  };
  for (let left = reader.varint(diaryDaysMax); left > 0; left--) {
    const day = reader.u32();
    if (day <= (days.at(-1)?.day ?? -1)) throw reader.fail('days that don’t ascend');
    const up = mask();
    const friends = new Map<string, number>();
    let before: Uint8Array | undefined;
    for (let rest = reader.varint(diaryFriendsMax); rest > 0; rest--) {
      const id = reader.bytes(32);
      if (before !== undefined && compareBytes(before, id) >= 0) throw reader.fail('ids that don’t ascend');
      before = id;
      friends.set(toHex(id), mask());
    }
    days.push({ day, up, friends });
  }
  const body = bytes.subarray(0, reader.offset);
  if (!equalBytes(reader.bytes(hashBytes), hashIn('checksum', body))) throw reader.fail('a wrong checksum');
  reader.end();
  return days;
}

/** A friend by the name that the user knows. */
export interface DiaryFriend {
  readonly id: string;
  readonly name: string;
}

/** When this computer was up and which friends were online with it: what can be told of people who never meet. Pure; times are ms since 1970. */
export class MeetingDiary {
  #days: DiaryDay[];

  constructor(days: readonly DiaryDay[] = []) {
    this.#days = [...days];
  }

  get days(): readonly DiaryDay[] {
    return this.#days;
  }

  /** This computer is up now, knows these friends, and some are online. Ids are 64 hex digits. */
  note(nowMs: number, known: readonly string[], online: readonly string[]): void {
    const today = this.#today(nowMs);
    const bit = 1 << (Math.floor(nowMs / hourMs) % 24);
    today.up |= bit;
    for (const id of known.slice(0, diaryFriendsMax)) {
      const before = today.friends.get(id);
      if (before === undefined && today.friends.size >= diaryFriendsMax) continue;
      today.friends.set(id, (before ?? 0) | (online.includes(id) ? bit : 0));
    }
  }

  /** Who was never online together in the last seven days: a sentence each, at most eight; friends before pairs of friends. */
  apart(nowMs: number, friends: readonly DiaryFriend[]): string[] {
    const week = this.#week(nowMs);
    const isKnown = ({ id }: DiaryFriend): boolean =>
      week.filter(({ friends: of }) => of.has(id)).length >= daysMin;
    const met = ({ id }: DiaryFriend): boolean => week.some(({ friends: of }) => (of.get(id) ?? 0) !== 0);
    const known = friends.filter(isKnown);
    const never = known
      .filter((friend) => !met(friend))
      .map(({ name }) => `${name} and you were never online together this week.`);
    const here = known.filter(met).slice(0, pairFriendsMax);
    const pairs = here.flatMap((a, i) =>
      here
        .slice(i + 1)
        .filter((b) => week.every(({ friends: of }) => ((of.get(a.id) ?? 0) & (of.get(b.id) ?? 0)) === 0))
        .map((b) => `${a.name} and ${b.name} were never online together this week, as seen from here.`),
    );
    return [...never, ...pairs].slice(0, sentencesMax);
  }

  #week(nowMs: number): DiaryDay[] {
    const last = Math.floor(nowMs / dayMs);
    return this.#days.filter(({ day, up }) => up !== 0 && day <= last && day > last - weekDays);
  }

  /** Days that a wrong clock put into the future are dropped with those that are too old. */
  #today(nowMs: number): DiaryDay {
    const day = Math.max(0, Math.floor(nowMs / dayMs));
    this.#days = this.#days.filter((each) => each.day <= day && each.day > day - diaryDaysMax);
    const last = this.#days.at(-1);
    if (last?.day === day) return last;
    const today = { day, up: 0, friends: new Map<string, number>() };
    this.#days.push(today);
    return today;
  }
}
