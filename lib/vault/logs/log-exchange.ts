import { join } from 'node:path';
import { equalBytes, idKey } from '../../base/bytes.ts';
import { forEachLimited, Semaphore, throwIfAborted } from '../../base/concurrency.ts';
import { isKithError, messageOf } from '../../base/errors.ts';
import type { LogBook } from '../../catalog/log-book.ts';
import type { Heard, LogCopies } from '../../catalog/log-copies.ts';
import type { Disk } from '../../disk/disk.ts';
import { writeDurably } from '../../disk/write-durably.ts';
import type { LogPosition } from '../../format/log-position.ts';
import { decodeKeyRecord } from '../../format/key-record.ts';
import type { Holder } from '../../holders/holder.ts';
import type { Certificate } from '../../format/certificate.ts';
import type { LiveDevice } from '../../trust/device.ts';
import { adoptKeyRecord, type NewDevice } from '../../trust/own-key-record.ts';
import type { RevokedDevices } from '../../trust/revocations.ts';
import type { Problem } from '../types.ts';
import { promptLogs } from '../holders/in-time.ts';

/** A friend has so long for each answer about logs: a segment of 8 MiB over a slow line. */
const answerMsMax = 120_000;

/** Holders that logs are given to at once. */
const givenAtOnce = 8;

export interface LogExchangeOptions {
  readonly disk: Disk;
  readonly home: string;
  /** Its epochs become more as they are learned. */
  readonly device: LiveDevice;
  readonly logs: LogBook;
  readonly logCopies: LogCopies;
  readonly keyRecord: Uint8Array;
  /** Keys of the vault's devices; those that are learned are added. */
  readonly devices: Set<string>;
  /** What is known of revoked devices; what is learned is added. */
  readonly revoked: RevokedDevices;
  /** The key record has become more: a device, a revocation, an epoch. Must not throw. */
  readonly onGrown: (grown: GrownKeys) => void;
  readonly onProblem: (problem: Problem) => void;
  /** Called when holders were heard, before any is given something: what may only be appended then. */
  readonly onHeard: () => Promise<void>;
}

/** What a key record brought that was new. */
export interface GrownKeys {
  readonly certificates: readonly Certificate[];
  /** Packs that no record names any more; undefined unless some record that counted before is void now, and the state was made anew. */
  readonly voided: readonly Uint8Array[] | undefined;
}

export interface ExchangeOptions {
  /** Reads every segment that holders keep, and replaces bad ones. */
  readonly thorough?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What holders said, and who didn't answer: to be left alone until it is reachable again. */
export interface HeardAll {
  readonly heard: readonly { readonly holder: Holder; readonly heard: Heard }[];
  readonly gone: ReadonlySet<string>;
}

/**
 * Brings the copies of logs and key record at holders and in the home together. One exchange at a time: what runs beside it waits. All
 * holders are heard, one after the other, before any is given something; then they are given it side by side.
 */
export class LogExchange {
  readonly #options: LogExchangeOptions;
  readonly #lock = new Semaphore(1);
  #keyRecord: Uint8Array;

  constructor(options: LogExchangeOptions) {
    this.#options = options;
    this.#keyRecord = options.keyRecord;
  }

  /** The vault's key record as it is known now, encoded. */
  get keyRecord(): Uint8Array {
    return this.#keyRecord;
  }

  /**
   * A holder that fails is reported and left for next time. KithError `too-new` if one has what this kith must not ignore. Says how many
   * have all the logs now.
   */
  async exchange(
    holders: readonly Holder[],
    options: ExchangeOptions = {},
  ): Promise<{ readonly reached: number; readonly gone: ReadonlySet<string> }> {
    return await this.#lock.run(async () => {
      const { heard, gone } = await this.#hear(holders, options.signal);
      if (heard.length > 0) await this.#options.onHeard();
      const there = new Set<string>();
      const reached = new Set<string>();
      await forEachLimited(heard, givenAtOnce, async ({ holder, heard: one }) => {
        throwIfAborted(options.signal);
        const prompt = promptLogs(holder, answerMsMax, options.signal);
        const isThere = await this.#passing(holder, async () => {
          if (await this.#options.logCopies.give(prompt, one, options)) reached.add(holder.id);
        });
        if (isThere) there.add(holder.id);
      });
      // Of a friend with two computers one is enough to be there, and to have the logs.
      const lost = heard.map(({ holder }) => holder.id).filter((id) => !there.has(id));
      return { reached: reached.size, gone: new Set([...gone, ...lost]) };
    });
  }

  /**
   * Positions of logs that this very device signed, and somebody kept. If one is beyond what is here, this home was put back from an old
   * copy: fresh logs are opened, as when a holder has a longer copy. True then.
   */
  async hearOf(positions: readonly LogPosition[]): Promise<boolean> {
    return await this.#lock.run(async () => {
      const { logs, onProblem } = this.#options;
      const here = new Map(logs.heads().map(({ logKey, length }) => [idKey(logKey), length]));
      const isAhead = positions.some(
        ({ logKey, length }) => logs.isCurrent(logKey) && length > (here.get(idKey(logKey)) ?? 0),
      );
      if (!isAhead) return false;
      onProblem({
        code: 'log-forked',
        item: 'logs',
        message:
          'a friend has heard of more of this computer’s own log than is here, as after a disk was put back; fresh logs go on from here',
      });
      await logs.openFreshLogs('a friend had heard of a longer copy');
      return true;
    });
  }

  /** The first half of an exchange: takes what holders know, and says what each of them had that could be heard. */
  async hear(holders: readonly Holder[], signal?: AbortSignal): Promise<HeardAll> {
    return await this.#lock.run(() => this.#hear(holders, signal));
  }

  async #hear(holders: readonly Holder[], signal: AbortSignal | undefined): Promise<HeardAll> {
    const all: { holder: Holder; heard: Heard }[] = [];
    const gone = new Set<string>();
    const there = new Set<string>();
    for (const holder of holders.flatMap((each) => each.computers?.() ?? [each])) {
      throwIfAborted(signal);
      const prompt = promptLogs(holder, answerMsMax, signal);
      const isThere =
        (await this.#passing(holder, () => this.#exchangeKeyRecord(prompt))) &&
        (await this.#passing(holder, async () => {
          all.push({ holder, heard: await this.#options.logCopies.hear(prompt) });
        }));
      (isThere ? there : gone).add(holder.id);
    }
    // One computer of a friend that fails says nothing of the other.
    for (const id of there) gone.delete(id);
    return { heard: all, gone };
  }

  /** Does something with a holder; what goes wrong there is reported, and others go on. False where it can't be reached. */
  async #passing(holder: Holder, work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isKithError(error) || error === this.#options.logs.stop || error.code === 'interrupted')
        throw error;
      this.#options.onProblem({
        item: holder.name,
        message: `its copy of the logs was not brought up to date: ${messageOf(error)}`,
        code: error.code,
      });
      return error.code !== 'holder-unavailable';
    }
  }

  /** Takes what a holder's key record knows and ours doesn't (another device's certificate), and gives it the union. */
  async #exchangeKeyRecord(holder: Holder): Promise<void> {
    const theirs = await this.#keyRecordOf(holder);
    if (theirs !== undefined && equalBytes(theirs, this.#keyRecord)) return;
    if (theirs !== undefined) {
      try {
        await this.#adopt(theirs);
      } catch (error) {
        if (!isKithError(error, 'malformed', 'not-authentic')) throw error;
        this.#options.onProblem({
          item: holder.name,
          message: `its key record was not genuine and is replaced: ${messageOf(error)}`,
          code: error.code,
        });
      }
    }
    await holder.putKeyRecord(this.#keyRecord);
  }

  /** KithError `malformed` or `not-authentic`; then nothing is taken. */
  async #adopt(theirs: Uint8Array): Promise<void> {
    await this.#take(adoptKeyRecord(this.#options.device, this.#keyRecord, theirs));
  }

  /**
   * Makes the key record another one, durably: `change` gets the one there is. What it revokes is void when this returns. Errors are those
   * of `change`; then nothing is taken.
   */
  async changeKeyRecord(
    change: (device: LiveDevice, keyRecord: Uint8Array) => NewDevice,
  ): Promise<Uint8Array> {
    return await this.#lock.run(async () => {
      await this.#take(change(this.#options.device, this.#keyRecord));
      return this.#keyRecord;
    });
  }

  async #take({ device, keyRecord }: NewDevice): Promise<void> {
    if (keyRecord === this.#keyRecord) return;
    const { disk, home, devices, revoked, logs } = this.#options;
    await writeDurably(disk, {
      tempFolder: join(home, 'tmp'),
      path: join(home, 'keys'),
      parts: [keyRecord],
      mode: 0o600,
    });
    this.#keyRecord = keyRecord;
    this.#options.device.epochs = device.epochs;
    const { certificates, revocations = [] } = decodeKeyRecord(keyRecord);
    const added = certificates.filter(({ deviceId }) => !devices.has(idKey(deviceId)));
    for (const { deviceId } of added) devices.add(idKey(deviceId));
    const voided = revoked.add(revocations) ? await logs.voidRevoked() : undefined;
    await logs.epochsLearned();
    this.#options.onGrown({ certificates: added, voided });
  }

  /** A holder's key record; undefined where there is none, or one that can't be read, which is reported and replaced. */
  async #keyRecordOf(holder: Holder): Promise<Uint8Array | undefined> {
    try {
      return await holder.getKeyRecord();
    } catch (error) {
      if (!isKithError(error, 'io-error', 'limit-exceeded')) throw error;
      this.#options.onProblem({
        item: holder.name,
        message: `its key record can't be read and is replaced: ${messageOf(error)}`,
        code: error.code,
      });
      return undefined;
    }
  }
}
