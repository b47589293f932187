import { toHex } from '../../base/bytes.ts';
import { isKithError, KithError, messageOf } from '../../base/errors.ts';
import { dialLimitMs } from './dial-schedule.ts';
import { DialJournal, takeStep } from './dial-steps.ts';
import { mostTelling, tryWays, wordsOf } from './dial-ways.ts';
import type { Way } from './dial-ways.ts';
import type { WantedPeer } from '../directory.ts';
import type { EndpointHints } from './endpoint-hints.ts';
import type { DialTarget, KeyPair, Link, Transport, Via } from '../links/link.ts';
import type { PingStep, Trouble } from '../presence.ts';
import { isDisowned } from '../sessions/end-codes.ts';
import type { SessionTable } from '../sessions/session-table.ts';
import type { Timers } from '../timers.ts';

/** Of so many tries over the DHT one is a knock. */
const knockEvery = 4;

export interface DeviceDialsOptions {
  /** Who we are. */
  readonly device: KeyPair;
  /** The pair with which a device of ours that a friend doesn't know yet knocks there. */
  readonly doorstep?: KeyPair | undefined;
  /** True for a device that nobody can know yet: it always knocks with the doorstep pair. */
  readonly knocks?: boolean;
  /** Where devices were seen just now. */
  readonly hints?: EndpointHints;
  readonly timers: Timers;
  readonly sessions: SessionTable;
  /** True for a device that fell silent and isn't back yet: dials to it are short. */
  readonly misses: (deviceId: Uint8Array) => boolean;
  /** What a device's answers took of late, in ms; 0 where that isn't known. */
  readonly usualMs: (deviceId: Uint8Array) => number;
  /** A try over every transport was in vain. */
  readonly onFailed: (peer: WantedPeer, trouble: Trouble) => void;
  /** A peer has refused the invite that we came with. */
  readonly onInviteRefused?: (peer: WantedPeer, error: KithError) => void;
}

/** What one try is to be like. */
interface Effort {
  /** How often it was in vain before. */
  readonly attempts: number;
  readonly signal: AbortSignal;
  readonly tell: (step: PingStep) => void;
  /** There is a session, which is doubted. */
  readonly isBeside: boolean;
}

/** How one device is dialled: over which transports, with which of our keys, and what came of the last try. When, the dialler decides. */
export class DeviceDials {
  /** In the order in which they are tried. */
  transports: readonly Transport[] = [];
  readonly #options: DeviceDialsOptions;
  /** Hex of the devices that answered the last try and didn't want us. */
  readonly #refusals = new Set<string>();
  /** Hex of the devices whose addresses neither answered nor refused at the last try. */
  readonly #slow = new Set<string>();
  /** How the last session of each device came about that wasn't direct, by its hex. */
  readonly #vias = new Map<string, Via>();
  readonly #journal = new DialJournal();

  constructor(options: DeviceDialsOptions) {
    this.#options = options;
  }

  /** True if the device answered the last try, and didn't know us. */
  refused(deviceId: Uint8Array): boolean {
    return this.#refusals.has(toHex(deviceId));
  }

  /** True if the last try to its addresses ended only because its time was over. */
  wasSlow(deviceId: Uint8Array): boolean {
    return this.#slow.has(toHex(deviceId));
  }

  /** What the last try was made of. */
  stepsOf(deviceId: Uint8Array): readonly PingStep[] {
    return this.#journal.of(deviceId);
  }

  /** There is a session. */
  opened(deviceId: Uint8Array, via: Via): void {
    if (via === 'direct') this.#vias.delete(toHex(deviceId));
    else this.#vias.set(toHex(deviceId), via);
    this.#refusals.delete(toHex(deviceId));
    this.#journal.forget(deviceId);
  }

  /** Forgets all but these devices, by their hex. */
  keepOnly(kept: ReadonlySet<string>): void {
    this.#journal.keep(kept);
    for (const device of this.#refusals) if (!kept.has(device)) this.#refusals.delete(device);
    for (const device of this.#vias.keys()) if (!kept.has(device)) this.#vias.delete(device);
    for (const device of this.#slow) if (!kept.has(device)) this.#slow.delete(device);
  }

  /** The device with the places where it was seen just now before those of its card. */
  placed(peer: WantedPeer): WantedPeer {
    return this.#options.hints?.merged(peer) ?? peer;
  }

  /** Whom to dial, with the key that is tried first. */
  target(peer: WantedPeer): DialTarget {
    return {
      remoteKey: peer.deviceId,
      endpoints: peer.endpoints,
      keyPair: peer.oneTime ?? this.#options.device,
    };
  }

  /** One try over every transport beside a session that is doubted; rejects with the most telling of their errors. */
  async dialBeside(wanted: WantedPeer, attempts: number, signal: AbortSignal): Promise<void> {
    const peer = this.placed(wanted);
    const errors = await this.#tryAll(peer, { attempts, signal, tell: () => {}, isBeside: true });
    if (errors !== undefined) throw mostTelling(errors);
  }

  /** One try over every transport; rejects with the most telling of their errors. */
  async dial(wanted: WantedPeer, attempts: number, signal: AbortSignal): Promise<void> {
    const peer = this.placed(wanted);
    const journal = this.#journal.begin(peer.deviceId);
    const errors = await this.#tryAll(peer, { attempts, signal, tell: journal.tell, isBeside: false });
    if (errors === undefined) return;
    const told = mostTelling(errors);
    if (signal.aborted) throw told;
    journal.end();
    if (isKithError(told, 'peer-refused')) this.#refusals.add(toHex(peer.deviceId));
    else this.#refusals.delete(toHex(peer.deviceId));
    this.#options.onFailed(peer, { words: wordsOf(errors), disowned: errors.some(isDisowned) });
    throw told;
  }

  /** One try over every transport but relays, all at once, to a device that is connected through one. */
  async dialBetter(wanted: WantedPeer, attempts: number, signal: AbortSignal): Promise<void> {
    const peer = this.placed(wanted);
    const better = this.transports.filter(({ name }) => name !== 'relay');
    // Nothing waits for it: it may take as long as a late try.
    const effort = { attempts: attempts + 2, signal, tell: () => {}, isBeside: false };
    await Promise.all(better.map((transport) => this.#dialOver(transport, peer, effort)));
  }

  async #tryAll(peer: WantedPeer, effort: Effort): Promise<KithError[] | undefined> {
    const ways = this.transports.map((transport): Way => ({
      run: () => this.#dialOver(transport, peer, effort),
      isProven: this.#isProven(transport, peer.deviceId, effort),
      ...(transport.more !== undefined && { more: (until) => transport.more?.(until) ?? Promise.resolve() }),
    }));
    return await tryWays(ways, this.#options.timers);
  }

  /** It fell silent just now, and was reached that way: it is what is likely to lead there. */
  #isProven(transport: Transport, deviceId: Uint8Array, { isBeside, attempts }: Effort): boolean {
    const via = this.#vias.get(toHex(deviceId));
    // A relay that went away says so: then nobody fell silent.
    if (transport.name === 'relay' && via === 'relay' && attempts === 0) return true;
    if (transport.name !== (via === 'punched' ? 'dht' : via)) return false;
    return isBeside || this.#options.misses(deviceId);
  }

  /** Of a device that has a session which is doubted, dials are short as well. */
  #limitMs(deviceId: Uint8Array, { attempts, isBeside }: Effort): number {
    const { misses, usualMs } = this.#options;
    return dialLimitMs(attempts, isBeside || misses(deviceId), usualMs(deviceId));
  }

  /** With which of our keys to try, in this order; the next only where the one before was refused. */
  #pairsFor(transport: Transport, peer: WantedPeer, attempts: number): readonly KeyPair[] {
    const { device, doorstep, knocks = false } = this.#options;
    if (peer.oneTime !== undefined) return invitePairs(transport, peer.oneTime, device, attempts);
    if (doorstep === undefined) return [device];
    // Over the DHT, or a relay, a refusal can't be told from silence, so that there is no second try: now and then it is a knock.
    const blindly = transport.name !== 'direct' && attempts % knockEvery === 1;
    return knocks || blindly ? [doorstep] : [device, doorstep];
  }

  /** Undefined if there is a session now. Where our device key is refused, the doorstep key knocks once. */
  async #dialOver(transport: Transport, peer: WantedPeer, effort: Effort): Promise<KithError | undefined> {
    const { sessions, onInviteRefused } = this.#options;
    const { attempts, signal, tell, isBeside } = effort;
    const doubted = isBeside ? sessions.current(peer.deviceId) : undefined;
    let last: KithError | undefined;
    for (const keyPair of this.#pairsFor(transport, peer, attempts)) {
      const limit = this.#limit(this.#limitMs(peer.deviceId, effort), signal);
      const target = { ...this.target(peer), keyPair, isBeside };
      try {
        const session = sessions.add(await this.#dialWith(transport, target, limit.signal, tell));
        // Not taken: there is a session by now.
        const error = await session?.opened;
        const current = sessions.current(peer.deviceId);
        if (error === undefined || (current !== undefined && current !== doubted)) return undefined;
        if (isKithError(error, 'invite-used', 'invite-expired', 'invite-refused')) {
          onInviteRefused?.(peer, error);
        }
        return error;
      } catch (error) {
        last = isKithError(error)
          ? error
          : new KithError('peer-unreachable', messageOf(error), { cause: error });
        if (transport.name === 'direct' || !peer.endpoints.some(({ direct }) => direct)) {
          if (limit.isOver()) this.#slow.add(toHex(peer.deviceId));
          else this.#slow.delete(toHex(peer.deviceId));
        }
        if (!isKithError(error, 'peer-refused')) return last;
      } finally {
        limit.end();
      }
    }
    return last;
  }

  /** One dial, and a step told of it where the transport told none itself. */
  async #dialWith(
    transport: Transport,
    target: DialTarget,
    signal: AbortSignal,
    tell: (step: PingStep) => void,
  ): Promise<Link> {
    let told = false;
    const onStep = (step: PingStep): void => {
      told = true;
      tell(step);
    };
    const unlessTold = (step: PingStep): void => {
      if (!told) tell(step);
    };
    const whole = { way: transport.name, address: null };
    return await takeStep(
      whole,
      () => this.#options.timers.nowMs(),
      unlessTold,
      () => transport.dial({ ...target, onStep }, signal),
    );
  }

  #limit(
    ms: number,
    signal: AbortSignal,
  ): { readonly signal: AbortSignal; readonly isOver: () => boolean; readonly end: () => void } {
    const over = new AbortController();
    const end = this.#options.timers.after(ms, () =>
      over.abort(new KithError('peer-unreachable', `no answer within ${ms / 1000} s`)),
    );
    return { signal: AbortSignal.any([signal, over.signal]), isOver: () => over.signal.aborted, end };
  }
}

/**
 * While an invite is pending: its pair first, then the device's, since they may know us by now. Over the DHT, where a refusal looks like
 * silence, by turns.
 */
function invitePairs(
  transport: Transport,
  oneTime: KeyPair,
  device: KeyPair,
  attempts: number,
): readonly KeyPair[] {
  if (transport.name !== 'dht') return [oneTime, device];
  return attempts % 2 === 0 ? [oneTime] : [device];
}
