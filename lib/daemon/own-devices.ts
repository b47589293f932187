import { fromHex, toHex } from '../base/bytes.ts';
import { isKithError, messageOf } from '../base/errors.ts';
import { decodeKeyRecord } from '../format/key-record.ts';
import type { HeldLog } from '../holders/holder.ts';
import type { PeerInfo, Service, ServiceCaller } from '../net/service.ts';
import { deviceMethods, deviceService, deviceServiceName } from '../services/device/device-service.ts';
import { ownDeviceHolder } from '../services/device/own-device.ts';
import { adoptKeyRecord } from '../trust/own-key-record.ts';
import { nameOfDevice } from '../vault/devices/devices.ts';
import { noteDeviceSeen } from '../vault/holders/seen.ts';
import type { Session } from '../vault/session.ts';

/** A device that is revoked has so long to take note of it. */
const farewellMsMax = 2_000;

/** Work that is done once more if it is asked for while it runs, and no more often than that. */
interface Turn {
  again: boolean;
}

/**
 * This identity's other devices, as long as they are connected: what one has written the others read from it at once, so that two devices
 * know of each other's snapshots without any friend. Each reads; nobody writes at the other's.
 */
export class OwnDevices {
  readonly #session: Session;
  readonly #callerOf: (service: string, deviceId: Uint8Array) => ServiceCaller;
  readonly #stop = new AbortController();
  readonly #turns = new Map<string, Turn>();
  readonly #running = new Set<Promise<void>>();
  /** By id (hex), those that are connected: as the same object for as long as it is the same session. */
  #here: ReadonlyMap<string, PeerInfo> = new Map();

  constructor(session: Session, callerOf: (service: string, deviceId: Uint8Array) => ServiceCaller) {
    this.#session = session;
    this.#callerOf = callerOf;
  }

  /** Ids (hex) of those that are connected. */
  get online(): readonly string[] {
    return [...this.#here.keys()];
  }

  /** What they may use here. */
  service(): Service {
    const session = this.#session;
    return deviceService({
      identity: session.device.vaultId,
      listLogs: () => listOf(session),
      getSegment: async (logKey, firstIndex) => {
        const { stored } = session.logs;
        const place = stored.segments(logKey).find((each) => each.firstIndex === firstIndex);
        if (place === undefined) return undefined;
        await stored.settle(logKey);
        return await stored.segmentBytes(logKey, place);
      },
      keyRecord: () => session.keyRecord,
      onNews: (deviceId) => this.#read(deviceId),
      takeKeyRecord: async (bytes) => {
        const taking = session.changeKeyRecord((device, keyRecord) =>
          adoptKeyRecord(device, keyRecord, bytes),
        );
        await this.#tracked(taking.then(() => undefined));
      },
    });
  }

  /** Who is connected now. In another session it is read anew: what it told in the one before may not have come. */
  changed(here: readonly PeerInfo[]): void {
    const before = this.#here;
    this.#here = new Map(here.map((peer) => [toHex(peer.deviceId), peer]));
    for (const [deviceId, peer] of this.#here) if (before.get(deviceId) !== peer) this.#read(deviceId);
  }

  /** This device has something new. */
  tell(): void {
    for (const deviceId of this.online) this.#inTurn(`tell ${deviceId}`, () => this.#tellOne(deviceId));
  }

  /** Lets a device have the key record by which it is revoked, while it may still be spoken to. Never rejects; takes 2 s at most. */
  async farewell(deviceId: Uint8Array): Promise<void> {
    const caller = this.#callerOf(deviceServiceName, deviceId);
    if (!caller.connected) return;
    const upload = [this.#session.keyRecord];
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(farewellMsMax)]);
    await caller
      .call(deviceMethods.takeKeyRecord, new Uint8Array(0), { upload, signal })
      .catch(() => undefined);
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.idle();
  }

  /** Counts as under way until it has ended. */
  async #tracked(work: Promise<void>): Promise<void> {
    const run = work.catch(() => undefined);
    this.#running.add(run);
    void run.then(() => this.#running.delete(run));
    await work;
  }

  #read(deviceId: string): void {
    this.#inTurn(`read ${deviceId}`, () => this.#readOne(deviceId));
  }

  #inTurn(key: string, work: () => Promise<void>): void {
    if (this.#stop.signal.aborted) return;
    const under = this.#turns.get(key);
    if (under !== undefined) {
      under.again = true;
      return;
    }
    const turn: Turn = { again: true };
    this.#turns.set(key, turn);
    const run = (async () => {
      while (turn.again && !this.#stop.signal.aborted) {
        turn.again = false;
        await work();
      }
    })()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#turns.delete(key);
        this.#running.delete(run);
      });
    this.#running.add(run);
  }

  async #readOne(deviceId: string): Promise<void> {
    const session = this.#session;
    const id = fromHex(deviceId) ?? new Uint8Array(0);
    const caller = this.#callerOf(deviceServiceName, id);
    if (!caller.connected) return;
    const certificate = decodeKeyRecord(session.keyRecord).certificates.find(
      (each) => toHex(each.deviceId) === deviceId,
    );
    const holder = ownDeviceHolder({
      id: deviceId,
      name: certificate === undefined ? `device ${deviceId.slice(0, 8)}` : nameOfDevice(session, certificate),
      household: undefined,
      vaultId: session.device.vaultId,
      caller,
      whyAway: () => 'not online',
      isFriendsDevice: () => false,
      random: session.surroundings.random,
    });
    await noteDeviceSeen(session, deviceId);
    await session.hearLogs([holder], this.#stop.signal);
    session.takeNews();
  }

  async #tellOne(deviceId: string): Promise<void> {
    const caller = this.#callerOf(deviceServiceName, fromHex(deviceId) ?? new Uint8Array(0));
    if (!caller.connected) return;
    await caller.call(deviceMethods.news, new Uint8Array(0), { signal: this.#stop.signal });
  }

  /** One that goes away in the middle is heard when it is back. */
  #failed(error: unknown): void {
    if (this.#stop.signal.aborted || isKithError(error, 'holder-unavailable', 'interrupted')) return;
    const code = isKithError(error) ? error.code : 'internal';
    this.#session.problem({ item: 'another device of yours', message: messageOf(error), code });
  }
}

/** The logs of this home in the order in which lists of them are told. */
function listOf({ logs }: Session): HeldLog[] {
  const all = logs.heads().map(({ logKey }) => ({
    logKey,
    segments: logs.stored.segments(logKey).map(({ firstIndex, bytes }) => ({ firstIndex, bytes })),
  }));
  return all.filter(({ segments }) => segments.length > 0).sort((a, b) => Buffer.compare(a.logKey, b.logKey));
}
