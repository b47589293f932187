import { toHex } from '../base/bytes.ts';
import { isKithError } from '../base/errors.ts';
import { letterKinds } from '../format/letter.ts';
import { acceptanceFor } from '../vault/invite-accept.ts';
import { applyAcceptance } from '../vault/invite-welcome.ts';
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
  readonly note: Note;
}

/** Acceptances of invites by letter: where whoever invited is away, a common friend carries our word, and theirs to us. */
export class InviteLetters {
  readonly #options: InviteLettersOptions;
  /** When our word for somebody may be given to friends again, by the monotonic clock. */
  readonly #dueMs = new Map<string, number>();
  #sending: Promise<void> | undefined;

  constructor(options: InviteLettersOptions) {
    this.#options = options;
    options.letters.on(letterKinds.acceptance, (bytes) => this.#take(bytes));
  }

  /** Gives our word for everybody who is away, and whose invite is pending here, to friends who are here. One round at a time; never rejects. */
  send(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #send(): Promise<void> {
    const { session, letters, isOnline } = this.#options;
    const nowMs = session.surroundings.clock.monotonicMs();
    for (const { identity } of session.state.friends()) {
      const id = toHex(identity);
      const acceptance = isOnline(id) ? undefined : acceptanceFor(session, identity);
      if (acceptance === undefined || nowMs < (this.#dueMs.get(id) ?? nowMs)) continue;
      this.#dueMs.set(id, nowMs + tryAgainMs);
      try {
        const taken = await letters.send(identity, letterKinds.acceptance, acceptance);
        if (taken > 0) this.#dueMs.set(id, nowMs + againMs);
      } catch (error) {
        // A card that is too long for a letter, say: it goes the straight way when they are online.
        if (!isKithError(error)) throw error;
      }
    }
  }

  /** True where there is nothing more to do with it. */
  async #take(bytes: Uint8Array): Promise<boolean> {
    const { session, note } = this.#options;
    try {
      const identity = await applyAcceptance(session, bytes);
      const name = session.state.friend(identity)?.name ?? toHex(identity).slice(0, 16);
      note('info', 'invite-used', `${name} has accepted an invite, by way of a friend`);
      return true;
    } catch (error) {
      if (!isKithError(error)) throw error;
      // Another device of ours may have made the invite, or the disk may have room again.
      return !isKithError(error, 'peer-refused', 'io-error', 'disk-full', 'interrupted');
    }
  }
}
