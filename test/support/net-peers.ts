import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { equalBytes, idKey, toHex } from '../../lib/base/bytes.ts';
import { KithError } from '../../lib/base/errors.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import type { Admission, Directory, WantedPeer } from '../../lib/net/directory.ts';
import { orAborted } from '../../lib/net/deadline.ts';
import type { DialTarget, KeyPair, Link, Transport } from '../../lib/net/links/link.ts';
import { Network } from '../../lib/net/network.ts';
import type { NetworkOptions } from '../../lib/net/network-options.ts';
import type { IncomingCall, OutgoingReply, PeerInfo, Service, VersionRange } from '../../lib/net/service.ts';
import { FakeTimers } from './fake-timers.ts';
import { MemoryWire } from './memory-link.ts';
import { Seeded } from './seeded.ts';
import { atEnd } from './at-end.ts';

/** A key pair that is the same for the same number everywhere. */
export function keyPairOf(number: number): KeyPair {
  return signKeyPair(new Seeded(number).bytes(32));
}

/** A card for tests: identity, device. A real one carries certificates. */
export function fakeCard(identity: Uint8Array, deviceId: Uint8Array): Uint8Array {
  return new Uint8Array([...identity, ...deviceId]);
}

/** Who is known to one device in a test. Cards are those of `fakeCard`. */
export class FakeDirectory implements Directory {
  readonly devices: Map<string, Admission> = new Map();
  revision = 0;
  /** Devices that the next card revokes. */
  revoking: readonly Uint8Array[] = [];
  peers: WantedPeer[] = [];
  readonly learned: string[] = [];
  card: Uint8Array;
  /** Answers who comes with an invite; none is known unless set. */
  welcoming: ((inviteId: Uint8Array, identity: Uint8Array) => Promise<void>) | undefined;
  /** Set to have `learn` wait. */
  learning: Promise<void> | undefined;

  constructor(card: Uint8Array) {
    this.card = card;
  }

  know(identity: Uint8Array, deviceId: Uint8Array): void {
    this.revision++;
    this.devices.set(idKey(deviceId), { kind: 'device', identity, deviceId });
    this.peers.push({ identity, deviceId, endpoints: [] });
  }

  knowDoorstep(identity: Uint8Array, doorstepKey: Uint8Array): void {
    const known = this.devices.get(idKey(doorstepKey));
    const others = known?.kind === 'doorstep' ? known.identities : [];
    this.devices.set(idKey(doorstepKey), { kind: 'doorstep', identities: [...others, identity] });
  }

  knowInvite(inviteId: Uint8Array): void {
    this.devices.set(idKey(inviteId), { kind: 'invite', inviteId });
  }

  /** The device is known only once `learn` has seen the card. */
  async welcome(inviteId: Uint8Array, _deviceId: Uint8Array, card: Uint8Array): Promise<Uint8Array> {
    const identity = this.identityOf(card);
    await this.welcoming?.(inviteId, identity);
    return identity;
  }

  forget(deviceId: Uint8Array): void {
    this.revision++;
    this.devices.delete(idKey(deviceId));
    this.peers = this.peers.filter((peer) => !equalBytes(peer.deviceId, deviceId));
  }

  admit(remoteKey: Uint8Array): Admission | undefined {
    return this.devices.get(idKey(remoteKey));
  }

  owns(identity: Uint8Array, deviceId: Uint8Array): boolean {
    const admission = this.admit(deviceId);
    return admission?.kind === 'device' && equalBytes(admission.identity, identity);
  }

  identityOf(card: Uint8Array): Uint8Array {
    if (card.length !== 64) throw new KithError('malformed', 'not a card');
    return card.slice(0, 32);
  }

  wanted(): readonly WantedPeer[] {
    return this.peers;
  }

  ownCard(): Uint8Array {
    return this.card;
  }

  async learn(identity: Uint8Array, deviceId: Uint8Array, card: Uint8Array): Promise<boolean> {
    await this.learning;
    if (card.length !== 64) throw new KithError('malformed', 'not a card');
    if (!equalBytes(card.subarray(0, 32), identity)) {
      throw new KithError('not-authentic', 'the card is of another identity');
    }
    if (!equalBytes(card.subarray(32), deviceId)) return false;
    this.learned.push(toHex(deviceId));
    for (const revoked of this.revoking) this.forget(revoked);
    this.revision++;
    if (this.admit(deviceId) === undefined) this.know(identity, deviceId);
    return true;
  }
}

/** A service for tests: method 0 gives back what it gets, 1 fails, 2 never answers until it is cancelled. */
export class EchoService implements Service {
  readonly name: string;
  versions: VersionRange;
  granted = true;
  /** The error that method 1 throws. */
  error: unknown = new KithError('quota-exceeded', 'no room', { details: { bytes: 5 } });
  readonly accepted: number[] = [];
  /** Hex of the identities that a grant was asked about for. */
  readonly askedBy: string[] = [];
  readonly calls: IncomingCall[] = [];
  closedCount = 0;
  /** Set to have method 0 wait before it answers, until the peer is closed at most. */
  holding: Promise<void> | undefined;
  readonly #letGo = new AbortController();

  constructor(name: string = 'kith/echo', versions: VersionRange = { min: 1, max: 1 }) {
    this.name = name;
    this.versions = versions;
    // As many calls as a test has wait for one signal.
    setMaxListeners(0, this.#letGo.signal);
  }

  accept({ identity }: PeerInfo, version: number): ReturnType<Service['accept']> {
    this.askedBy.push(toHex(identity));
    if (!this.granted) return undefined;
    this.accepted.push(version);
    return { handle: (call) => this.#handle(call), closed: () => void this.closedCount++ };
  }

  /** Handlers that wait do so no longer. */
  letGo(): void {
    this.#letGo.abort(new KithError('interrupted', 'the test ends'));
  }

  async #handle(call: IncomingCall): Promise<OutgoingReply> {
    this.calls.push(call);
    if (call.method === 1) throw this.error;
    if (call.method === 2) {
      await new Promise<void>((_, reject) => {
        if (call.signal.aborted) reject(call.signal.reason as Error);
        call.signal.addEventListener('abort', () => reject(call.signal.reason as Error), { once: true });
      });
    }
    const upload = await call.receive();
    if (this.holding !== undefined) await orAborted(this.holding, this.#letGo.signal);
    return { body: call.body, download: call.downloadBytesMax > 0 ? [upload] : [] };
  }
}

/** One device in a test, with its network. */
export interface TestPeer {
  readonly identity: Uint8Array;
  readonly keys: KeyPair;
  readonly directory: FakeDirectory;
  readonly network: Network;
  readonly echo: EchoService;
  readonly timers: FakeTimers;
  /** Invites that others refused: code and words. */
  readonly refusals: string[];
}

export interface TestPeerOptions {
  readonly services?: readonly Service[];
  readonly echo?: EchoService;
  readonly doorstep?: KeyPair;
  /** Another run of the same device. */
  readonly run?: number;
  readonly identity?: Uint8Array;
  readonly timers?: FakeTimers;
  readonly budgets?: NonNullable<NetworkOptions['budgets']>;
  readonly onBroken?: NonNullable<NetworkOptions['onBroken']>;
}

/** A device with the keys of that number, on fake time. */
export function testPeer(number: number, options: TestPeerOptions = {}): TestPeer {
  const keys = keyPairOf(number);
  const identity = options.identity ?? keyPairOf(number + 1000).publicKey;
  const directory = new FakeDirectory(fakeCard(identity, keys.publicKey));
  const echo = options.echo ?? new EchoService();
  const timers = options.timers ?? new FakeTimers();
  const refusals: string[] = [];
  const seeded = new Seeded(number * 100 + (options.run ?? 0));
  const network = new Network({
    device: keys,
    doorstep: options.doorstep,
    directory,
    services: options.services ?? [echo],
    ...(options.budgets === undefined ? {} : { budgets: options.budgets }),
    ...(options.onBroken === undefined ? {} : { onBroken: options.onBroken }),
    timers,
    random: (count) => seeded.bytes(count),
    onInviteRefused: (_, { code, message }) => void refusals.push(`${code} ${message}`),
  });
  return { identity, keys, directory, network, echo, timers, refusals };
}

/** Makes two devices friends. */
export function befriend(a: TestPeer, b: TestPeer): void {
  a.directory.know(b.identity, b.keys.publicKey);
  b.directory.know(a.identity, a.keys.publicKey);
}

let wireCount = 0;

/** A link between two devices, not yet handed to them. */
export function wireBetween(
  from: KeyPair,
  to: KeyPair,
  automatic = true,
  via: Link['via'] = 'direct',
): MemoryWire {
  return new MemoryWire(from, to, {
    handshakeHash: new Seeded(7000 + wireCount++).bytes(64),
    automatic,
    via,
  });
}

/** Links two devices, as if the first had dialled. */
export function connect(
  from: TestPeer,
  to: TestPeer,
  automatic = true,
  via: Link['via'] = 'direct',
): MemoryWire {
  const wire = wireBetween(from.keys, to.keys, automatic, via);
  from.network.accept(wire.initiator);
  to.network.accept(wire.responder);
  return wire;
}

/** Lets all that is under way in this process go on until `done`; fails after very many turns. */
export async function until(done: () => boolean, what = 'it'): Promise<void> {
  for (let turn = 0; turn < 20_000; turn++) {
    if (done()) return;
    await nextTurn();
  }
  throw new Error(`${what} did not come about`);
}

/** Lets what is under way go on for a number of turns. */
export async function turns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

/** Two friends with an open session, closed when the test ends. */
export async function connectedPair(
  test: { after(work: () => Promise<void>): void },
  options: { a?: TestPeerOptions; b?: TestPeerOptions } = {},
): Promise<{ a: TestPeer; b: TestPeer; wire: MemoryWire }> {
  const a = testPeer(1, options.a);
  const b = testPeer(2, options.b);
  befriend(a, b);
  atEnd(test, () => closeAll(a, b));
  const wire = connect(a, b);
  await until(() => a.network.peers().length === 1 && b.network.peers().length === 1, 'the session');
  return { a, b, wire };
}

export async function closeAll(...peers: TestPeer[]): Promise<void> {
  for (const { echo } of peers) echo.letGo();
  await Promise.all(peers.map(({ network }) => network.close()));
}

/** A transport that reaches whom it is told to. */
export class FakeTransport implements Transport {
  readonly name: Transport['name'];
  readonly dialled: DialTarget[] = [];
  dialling = 0;
  diallingMax = 0;
  answer: (target: DialTarget, signal: AbortSignal) => Promise<Link>;

  constructor(
    answer: (target: DialTarget, signal: AbortSignal) => Promise<Link>,
    name: Transport['name'] = 'direct',
  ) {
    this.answer = answer;
    this.name = name;
  }

  async dial(target: DialTarget, signal: AbortSignal): Promise<Link> {
    this.dialled.push(target);
    this.dialling++;
    this.diallingMax = Math.max(this.diallingMax, this.dialling);
    try {
      return await this.answer(target, signal);
    } finally {
      this.dialling--;
    }
  }

  async close(): Promise<void> {}
}

/** A dial into the void: it ends when it is given up. */
export async function noAnswer(signal: AbortSignal): Promise<never> {
  return await new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}
