import { equalBytes, fromHex, toHex } from '../base/bytes.ts';
import { KithError, isKithError, messageOf } from '../base/errors.ts';
import { TokenBudget } from '../base/token-budget.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { BoxKeyPair } from '../crypto/sign.ts';
import type { SignedHead } from '../format/signed-head.ts';
import type { PeerInfo, ServiceCaller } from '../net/service.ts';
import type { Timers } from '../net/timers.ts';
import { CardsCaller, whoIs, type Told } from '../services/cards/cards-caller.ts';
import { askTagsMax, cardsServiceName, type Carried } from '../services/cards/cards-codec.ts';
import { openCarriedCard, type OpenedCard } from '../services/cards/carried-card.ts';
import {
  afterAsk,
  afterTry,
  freshAsk,
  pickAsked,
  pickMissing,
  questionsRate,
  roundsRate,
  type AskState,
} from '../trust/ask-schedule.ts';
import { UnderWay } from './under-way.ts';

/** A friend whose answer was a lie isn't asked again for so long. */
export const liarMs: number = 60 * 60_000;

/** Between two looks at who is there: each costs some microseconds a friend, and changes come in crowds. */
const lookMsMin = 100;

/** A friend of whom something new was told is likely there within this: the dial at the new address has ended. */
const hopeMs = 3_000;

/** What asking around needs of the links to friends. */
export interface AskLinks {
  /** Those that sessions are wanted with, and whether each was dialled in vain since it was last there. */
  sought(): ReadonlyMap<string, boolean>;
  peers(): readonly PeerInfo[];
  caller(id: string, service: string, deviceId?: Uint8Array): ServiceCaller;
  /** True if something was new. */
  learn(identity: Uint8Array, card: Uint8Array): Promise<boolean>;
  drop(id: string, words: string): void;
  watch(check: () => void): () => void;
}

export interface AskAroundOptions {
  readonly links: AskLinks;
  readonly identity: Uint8Array;
  /** What opens addresses of a friend. */
  readonly pairsOf: (id: string) => readonly BoxKeyPair[];
  /** What somebody knows of ourselves: the card isn't verified, and whose devices signed heads isn't either. KithError where it is no card of ours. */
  readonly onOwn: (own: OpenedCard) => Promise<void>;
  /** How long a friend's logs are; whose device signed it is to be looked at. */
  readonly onHeads?: (identity: Uint8Array, heads: readonly SignedHead[]) => void;
  readonly random: RandomSource;
  readonly timers: Timers;
  /** Something went wrong that no friend has to answer for. */
  readonly onTrouble: (words: string) => void;
  /** A question has ended: `isHopeful` may say something else than before. */
  readonly onAnswered?: () => void;
}

/** A friend who isn't there. */
interface Missing {
  readonly id: string;
  state: AskState;
  /** Questions under way that name it. */
  questions: number;
  /** When something new was told of it. */
  toldAtMs: number | undefined;
}

/** A friend who is there, since its session began. */
interface Here {
  readonly id: string;
  /** Who is asked, as the links name it for as long as it is the same session. */
  readonly peer: PeerInfo;
  askedAtMs: number | undefined;
}

/**
 * Asks friends who are there for those who can't be found, as trust/ask-schedule.ts says, and takes what they tell: cards with new
 * addresses are dialled at once. Whoever comes is asked once what it knows of ourselves,
 * and again where another session takes the place of the one it was asked in: that may have been dead.
 */
export class AskAround {
  readonly #options: AskAroundOptions;
  readonly #missing = new Map<string, Missing>();
  readonly #here = new Map<string, Here>();
  readonly #questions = new Map<string, TokenBudget>();
  /** Who told a lie, and when. */
  readonly #liars = new Map<string, number>();
  readonly #rounds: TokenBudget;
  #unwatch: () => void = () => undefined;
  #callOff: () => void = () => undefined;
  #lookedAtMs = -Infinity;
  #isLookDue = false;
  #isClosed = false;
  readonly #underWay = new UnderWay();

  constructor(options: AskAroundOptions) {
    this.#options = options;
    this.#rounds = new TokenBudget(roundsRate, options.timers.nowMs());
  }

  /** Begins to look; the links have been started. */
  start(): void {
    this.#unwatch = this.#options.links.watch(() => this.#lookSoon());
    this.#look();
  }

  /** Nothing is asked any more; what is under way ends with the links. */
  close(): void {
    this.#isClosed = true;
    this.#unwatch();
    this.#callOff();
  }

  /** Resolves when the questions under way have ended, once closed: with the links, at the latest. */
  async ended(): Promise<void> {
    await this.#underWay.ended();
  }

  /** True while it may still turn out where a friend is who isn't there: nobody who is here was asked, or answered, or it was just told. */
  isHopeful(id: string): boolean {
    if (this.#here.size === 0) return false;
    const missing = this.#missing.get(id);
    // It has only just become known, and the next look finds it missing.
    if (missing === undefined) return this.#options.links.sought().has(id);
    const { state, questions, toldAtMs } = missing;
    const sinceMs = this.#options.timers.nowMs() - (toldAtMs ?? -Infinity);
    return state.asks === 0 || questions > 0 || sinceMs < hopeMs;
  }

  /** What a friend tells by itself. KithError `not-authentic`, `malformed` for a lie. What isn't about a friend is left aside. */
  async onCarried(peer: PeerInfo, { salt, tag, carried }: Carried): Promise<void> {
    const people = [...this.#options.links.sought().keys()].map(identityOf);
    const identity = whoIs(salt, tag, people);
    if (identity === undefined || equalBytes(identity, peer.identity)) return;
    await this.#take({ identity, carried });
  }

  /** Many changes at once are looked at once. */
  #lookSoon(): void {
    if (this.#isClosed) return;
    const { timers } = this.#options;
    const waitMs = this.#lookedAtMs + lookMsMin - timers.nowMs();
    if (waitMs <= 0) this.#look();
    else if (!this.#isLookDue) {
      this.#isLookDue = true;
      this.#callOff();
      this.#callOff = timers.after(waitMs, () => this.#look());
    }
  }

  #look(): void {
    if (this.#isClosed) return;
    const { links, timers } = this.#options;
    const nowMs = timers.nowMs();
    this.#isLookDue = false;
    this.#lookedAtMs = nowMs;
    const peers = new Set(links.peers());
    const online = new Set([...peers].map(({ identity }) => toHex(identity)));
    const sought = links.sought();
    for (const id of this.#missing.keys()) if (online.has(id) || !sought.has(id)) this.#missing.delete(id);
    for (const [id, { peer }] of this.#here) if (!peers.has(peer)) this.#here.delete(id);
    for (const [id, isTried] of sought) {
      if (online.has(id)) continue;
      const missing = this.#missing.get(id) ?? {
        id,
        state: freshAsk(nowMs),
        questions: 0,
        toldAtMs: undefined,
      };
      if (isTried) missing.state = afterTry(missing.state, nowMs);
      this.#missing.set(id, missing);
    }
    for (const peer of peers) {
      const id = toHex(peer.identity);
      // Granted a moment later than the session began: then the next look finds it.
      if (this.#here.has(id) || !links.caller(id, cardsServiceName, peer.deviceId).connected) continue;
      const here = { id, peer, askedAtMs: undefined };
      this.#here.set(id, here);
      this.#ask(here, nowMs, [this.#options.identity, ...this.#begun(nowMs, askTagsMax - 1)]);
    }
    this.#plan(nowMs);
  }

  /** Those who are looked for already, or are to be from now on. */
  #begun(nowMs: number, max: number): Uint8Array[] {
    return pickMissing([...this.#missing.values()], nowMs, max).map(({ id }) => identityOf(id));
  }

  /** A round if one is due, and a timer for the next. */
  #plan(nowMs: number): void {
    this.#callOff();
    this.#callOff = () => undefined;
    const { timers } = this.#options;
    if (this.#here.size === 0 || this.#missing.size === 0) return;
    const nextAtMs = Math.min(...[...this.#missing.values()].map(({ state }) => state.dueAtMs));
    const waitMs = nextAtMs <= nowMs && !this.#round(nowMs) ? roundsRate.refillMs : undefined;
    const thenAtMs = Math.min(...[...this.#missing.values()].map(({ state }) => state.dueAtMs));
    this.#callOff = timers.after(waitMs ?? Math.max(1, thenAtMs - nowMs), () => this.#look());
  }

  /** Asks some friends for all who are missing. False if there have been too many rounds. */
  #round(nowMs: number): boolean {
    if (!this.#rounds.take(nowMs)) return false;
    const sought = pickMissing([...this.#missing.values()], nowMs, askTagsMax);
    const people = sought.map(({ id }) => identityOf(id));
    // Who has come this very moment was asked for them just now.
    const here = [...this.#here.values()].filter(({ askedAtMs }) => askedAtMs !== nowMs);
    for (const one of pickAsked(here)) this.#ask(one, nowMs, people);
    for (const missing of sought) missing.state = afterAsk(missing.state, nowMs, this.#chance());
    return true;
  }

  #chance(): number {
    return new DataView(this.#options.random(4).buffer).getUint32(0, true) / 2 ** 32;
  }

  #ask(here: Here, nowMs: number, identities: readonly Uint8Array[]): void {
    const { links, random } = this.#options;
    if (identities.length === 0 || this.#isLiar(here.id, nowMs)) return;
    const budget = this.#questions.get(here.id) ?? new TokenBudget(questionsRate, nowMs);
    this.#questions.set(here.id, budget);
    if (!budget.take(nowMs)) return;
    here.askedAtMs = nowMs;
    const caller = new CardsCaller(links.caller(here.id, cardsServiceName, here.peer.deviceId), random);
    const named = identities.flatMap((identity) => this.#missing.get(toHex(identity)) ?? []);
    for (const missing of named) missing.questions++;
    void this.#underWay
      .add(this.#hear(here.id, caller.ask(identities)))
      .catch((error: unknown) => this.#options.onTrouble(messageOf(error)))
      .finally(() => {
        for (const missing of named) missing.questions--;
        this.#options.onAnswered?.();
      });
  }

  /** Takes an answer. One that can't be true costs the friend its session, and our ear for a while. */
  async #hear(id: string, answer: Promise<Told[]>): Promise<void> {
    let told: Told[];
    try {
      told = await answer;
    } catch (error) {
      if (!isKithError(error)) throw error;
      // What the friend itself calls malformed comes the same way; then it takes us for a liar, and ends the session anyway.
      if (error.code === 'malformed') this.#lied(id, error);
      return;
    }
    for (const one of told) {
      if (this.#isClosed) return;
      try {
        await this.#take(one);
      } catch (error) {
        if (!isKithError(error)) throw error;
        if (!isKithError(error, 'not-authentic', 'malformed')) continue;
        this.#lied(id, error);
        return;
      }
    }
  }

  async #take({ identity, carried }: Told): Promise<void> {
    const isOwn = equalBytes(identity, this.#options.identity);
    const pairs = isOwn ? [] : this.#options.pairsOf(toHex(identity));
    const opened = openCarriedCard(carried, { identity, pairs, isOwn });
    if (isOwn) {
      await this.#options.onOwn(opened);
      return;
    }
    const isNew = await this.#options.links.learn(identity, opened.card);
    const missing = this.#missing.get(toHex(identity));
    if (isNew && missing !== undefined) missing.toldAtMs = this.#options.timers.nowMs();
    if (opened.heads.length > 0) this.#options.onHeads?.(identity, opened.heads);
  }

  #isLiar(id: string, nowMs: number): boolean {
    const sinceMs = this.#liars.get(id);
    if (sinceMs === undefined) return false;
    if (nowMs - sinceMs < liarMs) return true;
    this.#liars.delete(id);
    return false;
  }

  #lied(id: string, error: KithError): void {
    const nowMs = this.#options.timers.nowMs();
    if (this.#isLiar(id, nowMs)) return;
    this.#liars.set(id, nowMs);
    this.#options.links.drop(id, `what it says of a friend is not true: ${error.message}`);
  }
}

function identityOf(id: string): Uint8Array {
  const identity = fromHex(id);
  if (identity === undefined) throw new KithError('internal', `not an identity: ${id}`);
  return identity;
}
