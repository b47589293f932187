import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { equalBytes, toHex } from '../lib/base/bytes.ts';
import { forEachLimited } from '../lib/base/concurrency.ts';
import { leafBytes } from '../lib/base/limits.ts';
import { systemRandom } from '../lib/crypto/random.ts';
import { signKeyPair } from '../lib/crypto/sign.ts';
import { Hosting } from '../lib/custody/hosting.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import type { ShardToPut } from '../lib/holders/holder.ts';
import type { Directory } from '../lib/net/directory.ts';
import { openDirectTransport } from '../lib/net/direct/direct-transport.ts';
import { freeMessage } from '../lib/net/links/free-message.ts';
import type { DialTarget, KeyPair, Link } from '../lib/net/links/link.ts';
import { Network } from '../lib/net/network.ts';
import { bulkMessageBytes, type Service } from '../lib/net/service.ts';
import { FriendHolder } from '../lib/services/store/friend-holder.ts';
import { storeServiceName, storeVersions } from '../lib/services/store/store-codec.ts';
import { storeService } from '../lib/services/store/store-service.ts';
import { sampleDeviceId, SamplePacks, sampleVaultId, shardPayloadBytes } from './sample-packs.ts';

/**
 * What the store service carries to friends over loopback TCP, beside what the same links carry without it (docs/bench.md). Sender and
 * each friend are processes of their own. `raw`: messages of 256 KiB over Noise, thrown away at the other end. `kept`: the same, and each
 * friend writes what comes to bare files of 4 MiB, each synced and named before its answer, four at a time: what the machine lets a
 * friend keep at all, unchecked. `put`: shards of 4 MiB, each verified there and durable on its disk before the answer. `get`: the same
 * shards, read and verified there, and brought back. `--only put,get` leaves out the others.
 */
const { values } = parseArgs({
  options: {
    friends: { type: 'string' },
    packs: { type: 'string' },
    rounds: { type: 'string' },
    child: { type: 'string' },
    index: { type: 'string' },
    folder: { type: 'string' },
    only: { type: 'string' },
  },
});
const friendCount = Math.min(6, Math.max(1, Math.trunc(Number(values.friends ?? '5'))));
const packCount = Math.max(1, Math.trunc(Number(values.packs ?? '40')));
const rounds = Math.max(1, Math.trunc(Number(values.rounds ?? '3')));
const packsAtOnce = 4;
/** What goes over a bare link before it is measured: code that hasn't run yet is half as fast. */
const warmUpPacks = 20;
const rows = ['raw', 'kept', 'put', 'get'];
const wanted = values.only === undefined ? rows : values.only.split(',');
const bytesOfAll = packCount * friendCount * shardPayloadBytes;

const owner: KeyPair = signKeyPair(new Uint8Array(32).fill(100));
const friendKeys = (index: number): KeyPair => signKeyPair(new Uint8Array(32).fill(101 + index));
/** Identities are the vault's own, and for friends their device keys: nobody shows cards that matter here. */
const identityOf = (deviceId: Uint8Array): Uint8Array =>
  equalBytes(deviceId, owner.publicKey) ? sampleVaultId : deviceId;

/** Everybody who is named is a friend, and nothing is learned. */
class FixedDirectory implements Directory {
  readonly revision = 1;
  readonly #own: Uint8Array;
  readonly #known: readonly { readonly deviceId: Uint8Array; readonly port: number }[];

  constructor(own: Uint8Array, known: readonly { readonly deviceId: Uint8Array; readonly port: number }[]) {
    this.#own = own;
    this.#known = known;
  }

  admit(remoteKey: Uint8Array): ReturnType<Directory['admit']> {
    const found = this.#known.find(({ deviceId }) => equalBytes(deviceId, remoteKey));
    if (found === undefined) return undefined;
    return { kind: 'device', identity: identityOf(found.deviceId), deviceId: found.deviceId };
  }

  owns(identity: Uint8Array, deviceId: Uint8Array): boolean {
    return equalBytes(identityOf(deviceId), identity);
  }

  wanted(): ReturnType<Directory['wanted']> {
    return this.#known.map(({ deviceId, port }) => ({
      identity: identityOf(deviceId),
      deviceId,
      endpoints: port === 0 ? [] : [{ host: '127.0.0.1', port, direct: true, dht: false }],
    }));
  }

  ownCard(): Uint8Array {
    return this.#own;
  }

  identityOf(card: Uint8Array): Uint8Array {
    return identityOf(card);
  }

  learn(): Promise<boolean> {
    return Promise.resolve(true);
  }
}

function tell(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Processor time of this process so far, ms. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** What a friend does with bytes that come over a bare link; `then` is called for each shard's worth that is done with. */
type Taker = (bytes: Uint8Array, then: () => void) => void;

/** Throws them away. */
function thrower(): Taker {
  let left = shardPayloadBytes;
  return (bytes, then) => {
    left -= bytes.length;
    if (left > 0) return;
    left += shardPayloadBytes;
    then();
  };
}

/** Keeps them in bare files, written as they are: nothing is checked or put together. */
async function keeper(folder: string): Promise<Taker> {
  await mkdir(folder, { recursive: true });
  let parts: Uint8Array[] = [];
  let left = shardPayloadBytes;
  let files = 0;
  const keep = async (whole: readonly Uint8Array[], name: string): Promise<void> => {
    const file: FileHandle = await open(join(folder, `${name}.tmp`), 'wx');
    await file.writev(whole, 0);
    await file.sync();
    await file.close();
    await rename(join(folder, `${name}.tmp`), join(folder, name));
    const inFolder = await open(folder);
    await inFolder.sync();
    await inFolder.close();
  };
  return (bytes, then) => {
    parts.push(bytes);
    left -= bytes.length;
    if (left > 0) return;
    left += shardPayloadBytes;
    const whole = parts;
    parts = [];
    keep(whole, String(files++)).then(then, (error: unknown) => {
      throw error;
    });
  };
}

/** A friend on a bare link. It answers each shard's worth with a byte. */
async function rawFriend(keys: KeyPair, isThrown: boolean, takerOf: () => Promise<Taker>): Promise<void> {
  const take = await takerOf();
  const onLink = (link: Link): void => {
    link.stream.on('data', (bytes: Uint8Array) => {
      take(bytes, () => void link.stream.write(Buffer.from('k')));
      if (isThrown) freeMessage(bytes);
    });
  };
  const listen = { host: '127.0.0.1', port: 0 };
  const admits = (key: Uint8Array): boolean => equalBytes(key, owner.publicKey);
  const transport = await openDirectTransport({ keyPair: keys, admits, onLink, listen });
  tell({ port: transport.listening?.port });
}

/** A friend that keeps what comes. */
async function storingFriend(keys: KeyPair, folder: string): Promise<void> {
  const hosting = await Hosting.open({
    disk: nodeDisk,
    home: folder,
    identity: keys.publicKey,
    name: 'friend',
    random: systemRandom,
    nowNs: () => BigInt(Date.now()) * 1_000_000n,
    ownerOf: () => ({ quotaBytes: 2 ** 50, isDevice: (deviceId) => equalBytes(deviceId, sampleDeviceId) }),
    freeFloorBytes: () => 0,
  });
  const service = storeService({
    device: keys,
    storeOf: (identity) => hosting.storeOf(toHex(identity)),
    check: () => hosting.check(),
  });
  const directory = new FixedDirectory(keys.publicKey, [{ deviceId: owner.publicKey, port: 0 }]);
  const network = new Network({ device: keys, directory, services: [service] });
  const listen = { host: '127.0.0.1', port: 0 };
  const transport = await openDirectTransport({ ...network.wiring, listen });
  network.start([transport]);
  tell({ port: transport.listening?.port });
}

async function friend(kind: string, index: number, folder: string): Promise<void> {
  const keys = friendKeys(index);
  let before = 0;
  createInterface(process.stdin).on('line', (line) => {
    if (line === 'begin') before = cpuMs();
    if (line === 'end') tell({ cpuMs: cpuMs() - before });
    if (line === 'leave') process.exit(0);
  });
  if (kind === 'raw') await rawFriend(keys, true, async () => thrower());
  else if (kind === 'kept') await rawFriend(keys, false, () => keeper(folder));
  else await storingFriend(keys, folder);
}

async function sendRaw(link: Link, packs: SamplePacks, count: number): Promise<void> {
  const { shards } = packs.take(0);
  const payload = shards[0]?.payload ?? new Uint8Array();
  let answers = 0;
  let onAnswer = (): void => {};
  link.stream.on('data', (bytes: Uint8Array) => {
    answers += bytes.length;
    onAnswer();
  });
  const answered = async (count: number): Promise<void> => {
    if (answers >= count) return;
    await new Promise<void>((resolve) => {
      onAnswer = () => {
        if (answers >= count) resolve();
      };
    });
  };
  for (let pack = 0; pack < count; pack++) {
    await answered(pack + 1 - packsAtOnce);
    for (let at = 0; at < payload.length; at += bulkMessageBytes) {
      if (!link.stream.write(payload.subarray(at, at + bulkMessageBytes))) await once(link.stream, 'drain');
    }
  }
  await answered(count);
}

interface Measured {
  readonly what: string;
  readonly ms: number;
  readonly cpuMs: number;
  readonly friendsCpuMs: number;
}

/** Another process of the bench, spoken to by lines. */
class Friend {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting: ((line: string) => void)[] = [];

  constructor(kind: string, index: number, folder: string) {
    const main = fileURLToPath(import.meta.url);
    const args = [
      main,
      '--child',
      kind,
      '--index',
      String(index),
      '--folder',
      folder,
      '--packs',
      String(packCount),
    ];
    const profile = process.env['KITH_BENCH_PROFILE'];
    const flags = profile === undefined || index !== 0 ? [] : ['--cpu-prof', '--cpu-prof-dir', profile];
    this.#child = spawn(process.execPath, [...flags, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
    });
    if (this.#child.stdout === null) throw new Error('no pipe');
    createInterface(this.#child.stdout).on('line', (line) => {
      const wait = this.#waiting.shift();
      if (wait === undefined) this.#lines.push(line);
      else wait(line);
    });
  }

  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async hear(): Promise<Record<string, number>> {
    const line = this.#lines.shift() ?? (await new Promise<string>((resolve) => this.#waiting.push(resolve)));
    return JSON.parse(line) as Record<string, number>;
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.say('leave');
    await ended;
  }
}

async function measured(
  what: string,
  friends: readonly Friend[],
  work: () => Promise<unknown>,
): Promise<Measured> {
  for (const each of friends) each.say('begin');
  const cpu = cpuMs();
  const began = performance.now();
  await work();
  const ms = performance.now() - began;
  const own = cpuMs() - cpu;
  let friendsCpuMs = 0;
  for (const each of friends) {
    each.say('end');
    friendsCpuMs += (await each.hear())['cpuMs'] ?? 0;
  }
  return { what, ms, cpuMs: own, friendsCpuMs };
}

async function withFriends<T>(
  kind: string,
  work: (friends: Friend[], ports: number[]) => Promise<T>,
): Promise<T> {
  const base = await mkdtemp(join(tmpdir(), 'kith-bench-net-'));
  const friends = Array.from(
    { length: friendCount },
    (_, index) => new Friend(kind, index, join(base, `${index}`)),
  );
  try {
    const ports: number[] = [];
    for (const each of friends) ports.push((await each.hear())['port'] ?? 0);
    return await work(friends, ports);
  } finally {
    await Promise.all(friends.map((each) => each.end()));
    await rm(base, { recursive: true, force: true });
  }
}

async function rawRun(kind: string, packs: SamplePacks): Promise<Measured[]> {
  return await withFriends(kind, async (friends, ports) => {
    const transport = await openDirectTransport({
      keyPair: owner,
      admits: () => false,
      onLink: () => undefined,
    });
    const links: Link[] = [];
    for (const [index, port] of ports.entries()) {
      const endpoints = [{ host: '127.0.0.1', port, direct: true, dht: false }];
      const target: DialTarget = { remoteKey: friendKeys(index).publicKey, keyPair: owner, endpoints };
      links.push(await transport.dial(target, new AbortController().signal));
    }
    const sendAll = (count: number): Promise<unknown> =>
      Promise.all(links.map((link) => sendRaw(link, packs, count)));
    await sendAll(warmUpPacks);
    const result = await measured(kind, friends, () => sendAll(packCount));
    await transport.close();
    return [result];
  });
}

/** Speaks the store's service and grants it to nobody. */
const callsOnly: Service = { name: storeServiceName, versions: storeVersions, accept: () => undefined };

async function storeRun(packs: SamplePacks): Promise<Measured[]> {
  return await withFriends('store', async (friends, ports) => {
    const known = ports.map((port, index) => ({ deviceId: friendKeys(index).publicKey, port }));
    const network = new Network({
      device: owner,
      directory: new FixedDirectory(owner.publicKey, known),
      services: [callsOnly],
    });
    network.start([await openDirectTransport(network.wiring)]);
    const holders = known.map(({ deviceId }, index) => {
      const caller = network.caller(deviceId, storeServiceName);
      return new FriendHolder({
        id: toHex(deviceId),
        name: `friend ${index}`,
        household: undefined,
        vaultId: sampleVaultId,
        caller,
        whyAway: () => 'not connected',
        isFriendsDevice: () => true,
        random: systemRandom,
      });
    });
    while (
      !(await Promise.all(holders.map((holder) => holder.check()))).every(({ available }) => available)
    ) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const each = async (work: (holder: FriendHolder, shard: ShardToPut) => Promise<void>): Promise<void> => {
      const numbers = Array.from({ length: packCount }, (_, pack) => pack);
      await forEachLimited(numbers, packsAtOnce, async (pack) => {
        const { shards, giveBack } = packs.take(pack);
        await Promise.all(
          holders.map(async (holder, index) => {
            const shard = shards[index];
            if (shard !== undefined) await work(holder, shard);
          }),
        );
        giveBack();
      });
    };
    const results = [await measured('put', friends, () => each((holder, shard) => holder.put(shard)))];
    if (wanted.includes('get')) {
      const get = async (holder: FriendHolder, shard: ShardToPut): Promise<void> => {
        const found = await holder.get(shard, 0, shardPayloadBytes / leafBytes);
        if (found?.bytes.length !== shardPayloadBytes) throw new Error('a shard is lost');
      };
      results.push(await measured('get', friends, () => each(get)));
    }
    await network.close();
    return results;
  });
}

async function main(): Promise<void> {
  const best = new Map<string, Measured>();
  const packs = new SamplePacks(packCount);
  for (let round = 0; round < rounds; round++) {
    const runs: Measured[] = [];
    for (const kind of ['raw', 'kept'] as const) {
      if (wanted.includes(kind)) runs.push(...(await rawRun(kind, packs)));
    }
    if (wanted.includes('put') || wanted.includes('get')) runs.push(...(await storeRun(packs)));
    for (const each of runs) {
      const before = best.get(each.what) ?? each;
      best.set(each.what, {
        what: each.what,
        ms: Math.min(each.ms, before.ms),
        cpuMs: Math.min(each.cpuMs, before.cpuMs),
        friendsCpuMs: Math.min(each.friendsCpuMs, before.friendsCpuMs),
      });
    }
  }
  const share = (of: string, ms: number): string => {
    const whole = best.get(of);
    return `${whole === undefined ? '-' : String(Math.round((100 * whole.ms) / ms))} % of ${of}`.padStart(13);
  };
  for (const { what, ms, cpuMs: own, friendsCpuMs } of best.values()) {
    const rate = Math.round(bytesOfAll / 1000 / ms);
    const aGigabyte = (cpu: number): string => String(Math.round((cpu * 1e9) / bytesOfAll)).padStart(5);
    process.stdout.write(
      `${what.padEnd(4)} ${String(rate).padStart(5)} MB/s ${share('raw', ms)} ${share('kept', ms)}; ` +
        `processor ms a GB: sender ${aGigabyte(own)}, friends ${aGigabyte(friendsCpuMs)}\n`,
    );
  }
}

if (values.child === undefined) await main();
else await friend(values.child, Number(values.index), values.folder ?? '');
