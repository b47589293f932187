import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { forEachLimited } from '../lib/base/concurrency.ts';
import { signKeyPair } from '../lib/crypto/sign.ts';
import { openDirectTransport } from '../lib/net/direct/direct-transport.ts';
import { Network } from '../lib/net/network.ts';
import type { Service } from '../lib/net/service.ts';
import { KnownDevices } from './known-devices.ts';
import { rightHost, RoutedPair } from './net-namespaces.ts';

/**
 * What a backup does to others on the line (docs/bench.md): two computers in network namespaces, a router between them whose way out is
 * narrow and has a long queue, as at home (`--rate` in Mbit/s, `--queue` in ms). Uploads to a friend go through it, without a limit and with
 * `limits.upload = auto`, beside packets that are sent back by the other computer every 50 ms, as of a call or a game, and then beside the
 * upload of another program. Needs root, ip, tc and nft.
 */
const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '20' },
    queue: { type: 'string', default: '500' },
    seconds: { type: 'string', default: '30' },
    child: { type: 'string' },
    limit: { type: 'string', default: 'none' },
  },
});
const megabits = Math.max(1, Number(values.rate));
const seconds = Math.max(5, Number(values.seconds));
/** Of each row's beginning, while rates are found. */
const settleMs = 5_000;
const kithPort = 4747;
const echoPort = 4800;
const sinkPort = 4801;
const serviceName = 'bench/sink';
const versions = { min: 1, max: 1 };
const friend = signKeyPair(new Uint8Array(32).fill(1));
const own = signKeyPair(new Uint8Array(32).fill(2));

function tell(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** The other computer: a friend who takes uploads, what sends packets back, and where another program uploads to. */
async function standAcross(): Promise<void> {
  const sink: Service = {
    name: serviceName,
    versions,
    accept: () => ({
      handle: async (call) => {
        await call.receive({ lent: true });
        return { body: new Uint8Array() };
      },
      closed: () => undefined,
    }),
  };
  const directory = new KnownDevices(friend.publicKey, [{ deviceId: own.publicKey, port: 0 }]);
  const network = new Network({ device: friend, directory, services: [sink] });
  const listen = { host: rightHost, port: kithPort };
  network.start([await openDirectTransport({ ...network.wiring, listen })]);
  const echo = createSocket('udp4');
  echo.on('message', (bytes, { address, port }) => echo.send(bytes, port, address));
  echo.bind(echoPort, rightHost);
  await once(echo, 'listening');
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  server.listen(sinkPort, rightHost);
  await once(server, 'listening');
  tell({ ready: true });
}

/** Uploads until it is killed; tells each second how many bytes have arrived. */
async function upload(): Promise<void> {
  const known = [{ deviceId: friend.publicKey, host: rightHost, port: kithPort }];
  const directory = new KnownDevices(own.publicKey, known);
  const calls: Service = { name: serviceName, versions, accept: () => undefined };
  const network = new Network({ device: own, directory, services: [calls] });
  network.setLimits({
    upload: values.limit === 'auto' ? 'auto' : Number.POSITIVE_INFINITY,
    download: Number.POSITIVE_INFINITY,
  });
  network.start([await openDirectTransport(network.wiring)]);
  await network.waitFor([friend.publicKey], { timeoutMs: 10_000 });
  const caller = network.caller(friend.publicKey, serviceName);
  const bytes = new Uint8Array(64 * 1024);
  let arrived = 0;
  setInterval(() => tell({ arrived }), 250);
  await forEachLimited(
    Array.from({ length: 1_000_000 }, (_, number) => number),
    16,
    async () => {
      await caller.call(0, new Uint8Array(), { upload: [bytes], silenceMsMax: 120_000 });
      arrived += bytes.length;
    },
  );
}

/** Another program's upload: as much as TCP lets it, told each second as the system took it. */
async function otherUpload(): Promise<void> {
  const socket = connect(sinkPort, rightHost);
  await once(socket, 'connect');
  setInterval(() => tell({ arrived: socket.bytesWritten - socket.writableLength }), 250);
  const bytes = Buffer.alloc(64 * 1024);
  for (;;) if (!socket.write(bytes)) await once(socket, 'drain');
}

/** Sends a packet every 50 ms and tells how long it took there and back. */
async function probe(): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes) => tell({ ms: performance.now() - bytes.readDoubleLE(0) }));
  setInterval(() => {
    const bytes = Buffer.alloc(100);
    bytes.writeDoubleLE(performance.now(), 0);
    socket.send(bytes, echoPort, rightHost);
  }, 50);
}

/** A child in one of the namespaces, and what it tells. */
class Part {
  readonly #child: ChildProcess;
  readonly #told: { readonly atMs: number; readonly [key: string]: number }[] = [];

  constructor(pair: RoutedPair, side: 'left' | 'right', role: string, limit = 'none') {
    const [command = '', ...args] = pair.through(side);
    const main = fileURLToPath(import.meta.url);
    this.#child = spawn(command, [...args, process.execPath, main, '--child', role, '--limit', limit], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (this.#child.stdout === null) throw new Error('no pipe');
    createInterface(this.#child.stdout).on('line', (line) => {
      this.#told.push({ atMs: performance.now(), ...(JSON.parse(line) as Record<string, number>) });
    });
  }

  async ready(): Promise<void> {
    while (this.#told.length === 0) await wait(20);
  }

  /** Of one number told since `sinceMs`. */
  numbers(key: string, sinceMs: number): number[] {
    return this.#told.filter(({ atMs }) => atMs >= sinceMs).map((told) => told[key] ?? 0);
  }

  /** Bytes a second between the first and the last word since `sinceMs`. */
  rate(sinceMs: number): number {
    const since = this.#told.filter(({ atMs }) => atMs >= sinceMs);
    const [first, last] = [since[0], since.at(-1)];
    if (first === undefined || last === undefined || first === last) return 0;
    return (((last['arrived'] ?? 0) - (first['arrived'] ?? 0)) * 1000) / (last.atMs - first.atMs);
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}

async function row(pair: RoutedPair, name: string, limit: string | undefined, other: boolean): Promise<void> {
  const parts = {
    probe: new Part(pair, 'left', 'probe'),
    kith: limit === undefined ? undefined : new Part(pair, 'left', 'upload', limit),
    other: other ? new Part(pair, 'left', 'other') : undefined,
  };
  try {
    for (const part of Object.values(parts)) await part?.ready();
    await wait(settleMs);
    const sinceMs = performance.now();
    await wait(seconds * 1000);
    const delays = parts.probe.numbers('ms', sinceMs).sort((a, b) => a - b);
    const at = (share: number): string =>
      (delays[Math.floor(share * delays.length)] ?? Number.NaN).toFixed(0);
    const lost = 100 * (1 - delays.length / ((seconds * 1000) / 50));
    const ofLine = (part: Part | undefined): string =>
      part === undefined
        ? '  - '
        : `${((100 * part.rate(sinceMs)) / (megabits * 125_000)).toFixed(0).padStart(3)}%`;
    process.stdout.write(
      `${name.padEnd(24)} kith ${ofLine(parts.kith)}  other ${ofLine(parts.other)} of the line; ` +
        `packets there and back: median ${at(0.5)} ms, 95 of 100 within ${at(0.95)} ms, ${lost.toFixed(0)} % lost\n`,
    );
  } finally {
    for (const part of Object.values(parts)) await part?.end();
  }
}

async function main(): Promise<void> {
  if (!RoutedPair.isPossible()) throw new Error('needs root, ip, tc and nft');
  const pair = new RoutedPair();
  let across: Part | undefined;
  try {
    pair.narrow(megabits, Number(values.queue));
    across = new Part(pair, 'right', 'across');
    await across.ready();
    await row(pair, 'nothing', undefined, false);
    await row(pair, 'no limit', 'none', false);
    await row(pair, 'auto', 'auto', false);
    await row(pair, 'another upload alone', undefined, true);
    await row(pair, 'no limit beside another', 'none', true);
    await row(pair, 'auto beside another', 'auto', true);
  } finally {
    await across?.end();
    pair.close();
  }
}

const roles: Readonly<Record<string, () => Promise<void>>> = {
  across: standAcross,
  upload,
  other: otherUpload,
  probe,
};
await (values.child === undefined ? main() : roles[values.child]?.());
