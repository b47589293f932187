import { idKey } from '../base/bytes.ts';
import type { Revocation } from '../format/revocation.ts';

/** Logs of a device that may be named in all its revocations together: none has more. */
type TrustedLengths = Map<string, number>;

/**
 * What an identity has said of devices that it trusts no more, as far as is known here. It only grows, and comes to the same in
 * whatever order it is learned (docs/formats/keys.md, "Revocation"). Only verified revocations go in.
 */
export class RevokedDevices {
  readonly #devices = new Map<string, TrustedLengths>();
  readonly #logKeys = new Map<string, Uint8Array>();
  readonly #createdNs = new Map<string, bigint>();

  constructor(revocations: readonly Revocation[] = []) {
    this.add(revocations);
  }

  /** True if that changed which records count. */
  add(revocations: readonly Revocation[]): boolean {
    let grew = false;
    for (const { deviceId, createdNs, logs } of revocations) {
      const key = idKey(deviceId);
      const known = this.#devices.get(key);
      const lengths: TrustedLengths = known ?? new Map();
      if (known === undefined) grew = true;
      this.#devices.set(key, lengths);
      const before = this.#createdNs.get(key);
      if (before === undefined || createdNs < before) this.#createdNs.set(key, createdNs);
      for (const { logKey, trustedLength } of logs) {
        if ((lengths.get(idKey(logKey)) ?? 0) >= trustedLength) continue;
        lengths.set(idKey(logKey), trustedLength);
        this.#logKeys.set(idKey(logKey), logKey.slice());
        grew = true;
      }
    }
    return grew;
  }

  get size(): number {
    return this.#devices.size;
  }

  has(deviceId: Uint8Array): boolean {
    return this.#devices.has(idKey(deviceId));
  }

  /** When the device was first revoked; undefined for one that isn't. */
  sinceNs(deviceId: Uint8Array): bigint | undefined {
    return this.#createdNs.get(idKey(deviceId));
  }

  /** How many records of a device's log count: all of them for one that isn't revoked, none of a log that no revocation names. */
  trustedLength(deviceId: Uint8Array, logKey: Uint8Array): number {
    const lengths = this.#devices.get(idKey(deviceId));
    return lengths === undefined ? Number.POSITIVE_INFINITY : (lengths.get(idKey(logKey)) ?? 0);
  }

  /** The logs of a revoked device that are trusted, and how far. */
  trustedLogs(deviceId: Uint8Array): { readonly logKey: Uint8Array; readonly trustedLength: number }[] {
    return [...(this.#devices.get(idKey(deviceId)) ?? [])].flatMap(([key, trustedLength]) => {
      const logKey = this.#logKeys.get(key);
      return logKey === undefined ? [] : [{ logKey, trustedLength }];
    });
  }
}
