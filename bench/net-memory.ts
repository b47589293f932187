import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { forEachLimited } from '../lib/base/concurrency.ts';
import { signKeyPair } from '../lib/crypto/sign.ts';
import { openDirectTransport } from '../lib/net/direct/direct-transport.ts';
import type { KeyPair } from '../lib/net/links/link.ts';
import { Network } from '../lib/net/network.ts';
import type { Service } from '../lib/net/service.ts';
import { KnownDevices } from './known-devices.ts';

/**
 * Memory of a friend who receives bulk over loopback TCP faster than its disk takes it (docs/bench.md): how far the peak of its process is
 * above what it had before anything came. The disk is a pause for each upload, during which its bytes are held: `--pause MS`. One friend
 * sends, then eight at once; each has `--uploads N` of 4 MiB to send, 64 under way.
 */
const { values } = parseArgs({
  options: {
    pause: { type: 'string' },
    uploads: { type: 'string' },
    child: { type: 'boolean' },
    port: { type: 'string' },
  },
});
const pauseMs = Number(values.pause ?? '150');
const uploadCount = Math.max(1, Math.trunc(Number(values.uploads ?? '64')));
const uploadBytes = 4 * 1024 * 1024;
const sendersMax = 8;
const serviceName = 'bench/slow';
const versions = { min: 1, max: 1 };

const keysOf = (number: number): KeyPair => signKeyPair(new Uint8Array(32).fill(number));
const receiver = keysOf(200);
const senderKeys = Array.from({ length: sendersMax }, (_, index) => keysOf(101 + index));

/** Takes each upload and holds it for as long as a slow disk would. */
const slow: Service = {
  name: serviceName,
  versions,
  accept: () => ({
    handle: async (call) => {
      const bytes = await call.receive({ lent: true });
      await wait(pauseMs);
      return { body: bytes.subarray(0, 1) };
    },
    closed: () => undefined,
  }),
};

/** A line of /proc/self/status, bytes. */
function statusBytes(name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(line?.[1] ?? '0') * 1024;
}

async function receive(): Promise<void> {
  const directory = new KnownDevices(
    receiver.publicKey,
    senderKeys.map(({ publicKey }) => ({ deviceId: publicKey, port: 0 })),
  );
  const network = new Network({ device: receiver, directory, services: [slow] });
  const transport = await openDirectTransport({
    ...network.wiring,
    listen: { host: '127.0.0.1', port: 0 },
  });
  network.start([transport]);
  createInterface(process.stdin).on('line', (line) => {
    // 5 sets the peak back to what there is now.
    if (line === 'begin') writeFileSync('/proc/self/clear_refs', '5');
    if (line === 'leave') process.exit(0);
    process.stdout.write(`${JSON.stringify({ now: statusBytes('VmRSS'), peak: statusBytes('VmHWM') })}\n`);
  });
  process.stdout.write(`${JSON.stringify({ port: transport.listening?.port })}\n`);
}

async function sendFrom(keys: KeyPair, port: number, begun: () => Promise<void>): Promise<void> {
  const directory = new KnownDevices(keys.publicKey, [{ deviceId: receiver.publicKey, port }]);
  const calls: Service = { name: serviceName, versions, accept: () => undefined };
  const network = new Network({ device: keys, directory, services: [calls] });
  network.start([await openDirectTransport(network.wiring)]);
  await network.waitFor([receiver.publicKey], { timeoutMs: 10_000 });
  const caller = network.caller(receiver.publicKey, serviceName);
  const bytes = new Uint8Array(uploadBytes).fill(7);
  await begun();
  const all = Array.from({ length: uploadCount }, (_, number) => number);
  await forEachLimited(all, 64, async () => {
    await caller.call(0, new Uint8Array(0), { upload: [bytes], silenceMsMax: 120_000 });
  });
  await network.close();
}

async function measure(senders: number): Promise<void> {
  const main = fileURLToPath(import.meta.url);
  const child = spawn(process.execPath, [main, '--child', '--pause', String(pauseMs)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const hear = async (): Promise<Record<string, number>> =>
    JSON.parse(String((await lines.next()).value)) as Record<string, number>;
  const ask = async (line: string): Promise<Record<string, number>> => {
    child.stdin.write(`${line}\n`);
    return await hear();
  };
  const { port = 0 } = await hear();
  let idle = 0;
  let waiting = senders;
  let begin = (): void => undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const beganMs = performance.now();
  await Promise.all(
    senderKeys.slice(0, senders).map((keys) =>
      sendFrom(keys, port, async () => {
        if (--waiting === 0) {
          idle = (await ask('begin'))['now'] ?? 0;
          begin();
        }
        await begun;
      }),
    ),
  );
  const seconds = (performance.now() - beganMs) / 1000;
  const { peak = 0 } = await ask('peak');
  const ended = once(child, 'exit');
  child.stdin.write('leave\n');
  await ended;
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const rate = Math.round((senders * uploadCount * uploadBytes) / 1e6 / seconds);
  process.stdout.write(
    `${senders} sending, ${pauseMs} ms for each upload: idle ${mib(idle)} MiB, peak ${mib(peak)} MiB, ` +
      `${mib(peak - idle)} MiB above; ${rate} MB/s\n`,
  );
}

if (values.child === true) await receive();
else for (const senders of [1, sendersMax]) await measure(senders);
