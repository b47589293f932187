import { equalBytes, toHex } from '../base/bytes.ts';
import { isKithError } from '../base/errors.ts';
import { letterKinds } from '../format/letter.ts';
import {
  acceptanceFor,
  applyAcceptance,
  applyWelcome,
  isForLater,
  nameOfFriend,
  welcomeFor,
  type AppliedAcceptance,
} from '../vault/invites/invite-letters.ts';
import type { Session } from '../vault/session.ts';
import type { Note } from './home-port.ts';
import type { Letters } from './letters.ts';

/** A word that friends keep for somebody is given anew no sooner than that: those who keep it may be gone, and each is one letter more in their boxes. */
const againMs: number = 3 * 24 * 60 * 60_000;

/** Where nobody took it, it isn't tried more often: friends come and go by the second. */
const tryAgainMs = 60_000;

export interface InviteLettersOptions {
  readonly session: Session;
  readonly letters: Letters;
  readonly isOnline: (friendId: string) => boolean;
  /** Takes what a friend's card says; nothing of it is verified. KithError as PeerLinks.learn. */
  readonly learn: (identity: Uint8Array, card: Uint8Array) => Promise<unknown>;
  readonly note: Note;
  /** Is given what goes on by itself: it never rejects. */
  readonly onWork: (work: Promise<void>) => void;
}

/**
 * Invites by letter: where whoever invited is away, a common friend carries our word to them, and theirs back to us. Each word has what the
 * other needs to find who wrote it, wherever they are by then.
 */
export class InviteLetters {
  readonly #options: InviteLettersOptions;
  /** When our word for somebody may be given to friends again, by the monotonic clock. */
  readonly #dueMs = new Map<string, number>();
  /** Whom we have let in by letter, and who hasn't been told: by the hex of the invite's id. */
  readonly #owed = new Map<string, AppliedAcceptance>();
  #sending: Promise<void> | undefined;

  constructor(options: InviteLettersOptions) {
    this.#options = options;
    options.letters.on(letterKinds.acceptance, (bytes) => this.#takeAcceptance(bytes));
    options.letters.on(letterKinds.welcome, (bytes) => this.#takeWelcome(bytes));
  }

  /** Gives our word for everybody who is away, and has it to hear, to friends who are here. One round at a time; never rejects. */
  send(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #send(): Promise<void> {
    const { session, letters, isOnline } = this.#options;
    for (const { identity } of session.state.friends()) {
      const acceptance = acceptanceFor(session, identity);
      if (acceptance === undefined || isOnline(toHex(identity))) continue;
      const { bytes, deviceId } = acceptance;
      const isMaker = (each: Uint8Array): boolean => equalBytes(each, deviceId);
      await this.#give(toHex(identity), () => letters.send(identity, letterKinds.acceptance, bytes, isMaker));
    }
    for (const [invite, applied] of this.#owed) {
      const { identity } = applied;
      // Who is here has been let in by the session.
      const welcome = isOnline(toHex(identity)) ? undefined : welcomeFor(session, applied);
      const isGiven =
        welcome === undefined ||
        (await this.#give(`welcome ${invite}`, () =>
          letters.send(identity, letterKinds.welcome, welcome, () => true),
        ));
      if (isGiven) this.#owed.delete(invite);
    }
  }

  #nowMs(): number {
    return this.#options.session.surroundings.clock.monotonicMs();
  }

  #isDue(key: string): boolean {
    return this.#nowMs() >= (this.#dueMs.get(key) ?? -Infinity);
  }

  /** True if somebody keeps it now. */
  async #give(key: string, send: () => Promise<number>): Promise<boolean> {
    if (!this.#isDue(key)) return false;
    const nowMs = this.#nowMs();
    this.#dueMs.set(key, nowMs + tryAgainMs);
    try {
      if ((await send()) === 0) return false;
      this.#dueMs.set(key, nowMs + againMs);
      return true;
    } catch (error) {
      // A card that is too long for a letter, say: it goes the straight way when they are online.
      if (!isKithError(error)) throw error;
      return false;
    }
  }

  /** True where there is nothing more to do with it. */
  async #takeAcceptance(bytes: Uint8Array): Promise<boolean> {
    const { session, note, learn } = this.#options;
    return await this.#take(async () => {
      const applied = await applyAcceptance(session, bytes);
      const invite = toHex(applied.inviteId);
      if (applied.isNew) {
        const name = nameOfFriend(session, applied.identity);
        note('info', 'invite-used', `${name} has accepted an invite, by way of a friend`);
      }
      // Who asks again hasn't been told, or it is another copy of what they asked first.
      if (this.#isDue(`welcome ${invite}`)) this.#owed.set(invite, applied);
      await learn(applied.identity, applied.card);
      // A round that is under way may have looked for owed ones already.
      this.#options.onWork((this.#sending ?? Promise.resolve()).then(() => this.send()));
    });
  }

  async #takeWelcome(bytes: Uint8Array): Promise<boolean> {
    const { session, note, learn } = this.#options;
    return await this.#take(async () => {
      const { identity, card } = await applyWelcome(session, bytes);
      note(
        'info',
        'invite-welcomed',
        `${nameOfFriend(session, identity)} has let you in, by way of a friend`,
      );
      if (card.length > 0) await learn(identity, card);
    });
  }

  /** False for what another device of ours may do, or this one when the disk has room again. */
  async #take(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isKithError(error)) throw error;
      return !isForLater(error);
    }
  }
}
