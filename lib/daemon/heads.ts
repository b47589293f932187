import { equalBytes, idKey, toHex } from '../base/bytes.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import { HeadBook } from '../custody/head-book.ts';
import { friendStateNumbers } from '../format/friend-records.ts';
import { signHead, verifyHead, type SignedHead } from '../format/signed-head.ts';
import type { Session } from '../vault/session.ts';

/**
 * How long logs are: our own, as we say it to friends, and friends' as they said it to us or to friends of both. An owner whose home was put
 * back from an old copy hears from any friend that there is more.
 */
export class Heads {
  readonly #session: Session;
  readonly #book: HeadBook;
  /** Signed before, by log: they are asked for often, and change seldom. */
  #own: ReadonlyMap<string, SignedHead> = new Map();

  constructor(session: Session) {
    this.#session = session;
    this.#book = new HeadBook({ disk: session.surroundings.disk, home: session.home });
  }

  async load(): Promise<void> {
    await this.#quietly(() => this.#book.load());
  }

  /** What is lost where this fails is told anew. */
  async save(): Promise<void> {
    const { state } = this.#session;
    await this.#quietly(() =>
      this.#book.save((owner) => state.friend(owner)?.state === friendStateNumbers.active),
    );
  }

  /** Of the logs that this device appends to; a signature for each that grew. */
  own(): SignedHead[] {
    const { logs, device } = this.#session;
    const heads = logs.heads().filter(({ logKey }) => logs.isCurrent(logKey));
    const signed = heads.map(({ logKey, length, hash }) => {
      const before = this.#own.get(idKey(logKey));
      if (before?.position.length === length && equalBytes(before.position.hash, hash)) return before;
      const { vaultId, deviceId, deviceSecretKey } = device;
      return signHead(vaultId, { deviceId, position: { logKey, length, hash } }, deviceSecretKey);
    });
    this.#own = new Map(signed.map((head) => [idKey(head.position.logKey), head]));
    return signed;
  }

  of(identity: Uint8Array): readonly SignedHead[] {
    return this.#book.of(identity);
  }

  /** Takes heads of a friend's logs whose signatures are good; those of devices that aren't the friend's are left aside. */
  take(
    identity: Uint8Array,
    heads: readonly SignedHead[],
    isDeviceOf: (identityHex: string, deviceId: Uint8Array) => boolean,
  ): void {
    const id = toHex(identity);
    this.#book.take(
      identity,
      heads.filter(({ deviceId }) => isDeviceOf(id, deviceId)),
    );
  }

  /** What a friend kept of ours. Only what this very device signed says anything of the logs that it appends to. */
  async heardOwn(heads: readonly SignedHead[]): Promise<void> {
    const { vaultId, deviceId } = this.#session.device;
    const own = heads.filter((head) => equalBytes(head.deviceId, deviceId));
    for (const head of own) verifyHead(vaultId, head);
    const positions = own.map(({ position }) => position);
    if (positions.length > 0) await this.#session.heardOfLogs(positions);
  }

  async #quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isKithError(error)) throw error;
      this.#session.problem({
        item: 'heads',
        message: `what friends said of their logs: ${messageOf(error)}`,
        code: error.code,
      });
    }
  }
}
