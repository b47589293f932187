import { equalBytes, idKey, toHex } from '../../base/bytes.ts';
import { isKithError } from '../../base/errors.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { beaconBytes, beaconEntryBytes, beaconEntryCount, beaconSaltBytes } from './lan-beacon.ts';
import { decodeBeacon, encodeBeacon } from './lan-beacon.ts';
import type { Beacon } from './lan-beacon.ts';
import { LanBudget } from './lan-budget.ts';
import { entriesByTag, entryContext, PairKeys } from './lan-entry.ts';
import type { KeyPair } from '../links/link.ts';
import type { Timers } from '../timers.ts';

/** After somebody was missed: soon again, since packets get lost and computers wake slowly, then ever more rarely. */
export const beaconDelaysMs: readonly number[] = [2_000, 10_000, 30_000, 60_000, 120_000];

/** While somebody stays away. */
export const beaconRestMs: number = 5 * 60_000;

/** Between two rounds of packets, whatever happens. */
export const beaconGapMs = 1_000;

/** A friend that is heard and has no session gets an answer this often. */
export const answerGapMs = 10_000;

/** Packets of a round from each address; who has more friends away says it to the others in the next round. */
const packetsPerRoundMax = 8;

/** Own packets come back from the network; so many of the last are known again. */
const ownSaltsMax = 64;

/** Hours by which two clocks may differ. */
const hoursApartMax = 24;

/** What carries packets; never throws: a network that can't is a network without friends in it. */
export interface LanWire {
  /** Sends one packet from each address; `make` is asked for each, with the address as text. */
  send(make: (address: string) => Uint8Array): void;
  close(): Promise<void>;
}

export interface LanDiscoveryOptions {
  readonly device: KeyPair;
  /** Where friends can dial us; 0: nowhere, and they are asked where they listen. */
  readonly port: number;
  /** Ids of the devices that a session is wanted with, connected ones included. */
  readonly peers: () => readonly Uint8Array[];
  readonly connected: (deviceId: Uint8Array) => boolean;
  readonly onFound: (deviceId: Uint8Array, address: string, port: number) => void;
  readonly timers: Timers;
  readonly random: RandomSource;
  /** Wall clock, ms since 1970. */
  readonly nowMs: () => number;
}

/** Says to friends in the local network that this device is there, and hears them (docs/formats/beacon.md). */
export class LanDiscovery {
  readonly #options: LanDiscoveryOptions;
  readonly #budget = new LanBudget();
  readonly #keys = new Map<string, PairKeys | undefined>();
  readonly #ownSalts = new Set<string>();
  /** When a device was answered last, and who is to be answered in the next round. */
  readonly #answeredMs = new Map<string, number>();
  #wire: LanWire | undefined;
  #round = 0;
  /** Whom the next round begins with. */
  #next = 0;
  #sentMs = Number.NEGATIVE_INFINITY;
  #callOff: () => void = () => {};

  constructor(options: LanDiscoveryOptions) {
    this.#options = options;
  }

  /** Begins to send; what it hears before is answered as well. */
  start(wire: LanWire): void {
    this.#wire = wire;
    this.look();
  }

  /** Somebody went, or came to be wanted, or this computer's addresses changed: a round now, and the next ones soon. */
  look(): void {
    this.#round = 0;
    this.#plan(0);
  }

  /** A packet, from an address as text. Never throws for what is in it. */
  hear(bytes: Uint8Array, address: string): void {
    const { peers, timers } = this.#options;
    if (this.#wire === undefined || bytes.length !== beaconBytes) return;
    const wanted = peers();
    if (wanted.length === 0 || !this.#budget.take(address, wanted.length, timers.nowMs())) return;
    const beacon = readBeacon(bytes);
    if (beacon === undefined || this.#ownSalts.has(toHex(beacon.salt))) return;
    if (Math.abs(beacon.hour - this.#hour()) > hoursApartMax) return;
    const context = entryContext(beacon, address);
    const entries = entriesByTag(beacon.entries);
    for (const deviceId of wanted) {
      const port = this.#keysOf(deviceId)?.open(context, entries);
      if (port !== undefined) this.#found(deviceId, address, port);
    }
  }

  /** Sends nothing more, and closes the wire. Harmless when repeated. */
  async close(): Promise<void> {
    this.#callOff();
    const wire = this.#wire;
    this.#wire = undefined;
    await wire?.close();
  }

  #found(deviceId: Uint8Array, address: string, port: number): void {
    const { connected, onFound, timers } = this.#options;
    if (port !== 0) onFound(deviceId, address, port);
    if (connected(deviceId)) return;
    const key = idKey(deviceId);
    const nowMs = timers.nowMs();
    if (nowMs - (this.#answeredMs.get(key) ?? Number.NEGATIVE_INFINITY) < answerGapMs) return;
    this.#answeredMs.set(key, nowMs);
    this.#plan(0, true);
  }

  /** Sets the next round: not sooner than the gap after the last, and never later than planned already. */
  #plan(delayMs: number, answers = false): void {
    if (this.#wire === undefined) return;
    const { timers } = this.#options;
    const gapMs = this.#sentMs + beaconGapMs - timers.nowMs();
    this.#callOff();
    const round = (): void => this.#send(answers);
    this.#callOff = timers.after(Math.max(0, delayMs, gapMs), round);
  }

  #send(answers: boolean): void {
    const missing = this.#missing();
    const rest = beaconDelaysMs[this.#round] ?? beaconRestMs;
    if (!answers) this.#round++;
    if (missing.length > 0) {
      this.#sentMs = this.#options.timers.nowMs();
      const packets = Math.min(packetsPerRoundMax, Math.ceil(missing.length / beaconEntryCount));
      for (let i = 0; i < packets; i++) this.#sendTo(this.#nextOf(missing));
    }
    this.#plan(rest);
  }

  /** Those who were just heard first: they wait for an answer. */
  #missing(): Uint8Array[] {
    const { peers, connected } = this.#options;
    const wanted = peers();
    this.#forget(wanted);
    const missing = wanted.filter((deviceId) => !connected(deviceId));
    const heardMs = (id: Uint8Array): number => this.#answeredMs.get(idKey(id)) ?? Number.NEGATIVE_INFINITY;
    const sinceMs = this.#options.timers.nowMs() - answerGapMs;
    const heard = missing.filter((id) => heardMs(id) >= sinceMs);
    const others = missing.filter((id) => heardMs(id) < sinceMs);
    const from = others.length === 0 ? 0 : this.#next % others.length;
    this.#next = from;
    return [...heard, ...others.slice(from), ...others.slice(0, from)];
  }

  /** Takes as many from the front as one packet has room for. */
  #nextOf(missing: Uint8Array[]): Uint8Array[] {
    const taken = missing.splice(0, beaconEntryCount);
    this.#next += taken.length;
    return taken;
  }

  #sendTo(devices: readonly Uint8Array[]): void {
    const { random, port } = this.#options;
    this.#wire?.send((address) => {
      const head = { salt: random(beaconSaltBytes), hour: this.#hour() };
      this.#rememberOwn(head.salt);
      const context = entryContext(head, address);
      const entries = devices.flatMap((deviceId) => this.#keysOf(deviceId)?.seal(context, port) ?? []);
      while (entries.length < beaconEntryCount) entries.push(random(beaconEntryBytes));
      return encodeBeacon({ ...head, entries });
    });
  }

  #rememberOwn(salt: Uint8Array): void {
    this.#ownSalts.add(toHex(salt));
    for (const oldest of this.#ownSalts) {
      if (this.#ownSalts.size <= ownSaltsMax) break;
      this.#ownSalts.delete(oldest);
    }
  }

  #hour(): number {
    return Math.max(0, Math.floor(this.#options.nowMs() / 3_600_000));
  }

  #keysOf(deviceId: Uint8Array): PairKeys | undefined {
    const key = idKey(deviceId);
    if (!this.#keys.has(key) && !equalBytes(deviceId, this.#options.device.publicKey)) {
      this.#keys.set(key, PairKeys.between(this.#options.device, deviceId));
    }
    return this.#keys.get(key);
  }

  #forget(wanted: readonly Uint8Array[]): void {
    const kept = new Set(wanted.map(idKey));
    for (const key of this.#keys.keys()) if (!kept.has(key)) this.#keys.delete(key);
    for (const key of this.#answeredMs.keys()) if (!kept.has(key)) this.#answeredMs.delete(key);
  }
}

function readBeacon(bytes: Uint8Array): Beacon | undefined {
  try {
    return decodeBeacon(bytes);
  } catch (error) {
    if (isKithError(error)) return undefined;
    throw error;
  }
}
