import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { equalBytes, toHex } from '../lib/base/bytes.ts';
import { forEachLimited } from '../lib/base/concurrency.ts';
import { leafBytes } from '../lib/base/limits.ts';
import { nodeDisk } from '../lib/disk/node-disk.ts';
import { initDrive, openDrive } from '../lib/holders/drive.ts';
import type { Holder } from '../lib/holders/holder.ts';
import { packRows, sampleDeviceId, SamplePacks, sampleVaultId, shardPayloadBytes } from './sample-packs.ts';

/**
 * What drives take and give, a shard of 4 MiB at a time, beside files of the same size that are written as durably by bare calls
 * of node:fs (docs/bench.md). Each run is a process of its own; they take turns, and the best of each kind is told.
 */
const { values } = parseArgs({
  options: {
    job: { type: 'string' },
    folder: { type: 'string' },
    packs: { type: 'string' },
    rounds: { type: 'string' },
    threads: { type: 'string' },
  },
});
const packCount = Math.max(1, Math.trunc(Number(values.packs ?? '40')));
const rounds = Math.max(1, Math.trunc(Number(values.rounds ?? '3')));
const packsAtOnce = 3;

/** What one process measured. */
interface Measured {
  readonly what: string;
  readonly bytes: number;
  readonly ms: number;
  readonly cpuMs: number;
}

async function measured(what: string, bytes: number, work: () => Promise<void>): Promise<Measured> {
  const cpu = process.cpuUsage();
  const began = performance.now();
  await work();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  return { what, bytes, ms, cpuMs: (user + system) / 1000 };
}

async function bareFile(folder: string, name: string, payload: Uint8Array): Promise<void> {
  const temp = join(folder, `${name}.tmp`);
  const file = await open(temp, 'wx');
  try {
    await file.write(payload);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temp, join(folder, name));
  const parent = await open(folder, 'r');
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

const bytesOfAll = packCount * packRows * shardPayloadBytes;
const packNumbers = Array.from({ length: packCount }, (_, pack) => pack);

async function eachPack(
  packs: SamplePacks,
  work: (shard: ReturnType<SamplePacks['take']>['shards'][number], pack: number) => Promise<void>,
): Promise<void> {
  await forEachLimited(packNumbers, packsAtOnce, async (pack) => {
    const { shards, giveBack } = packs.take(pack);
    await Promise.all(shards.map((shard) => work(shard, pack)));
    giveBack();
  });
}

async function bare(folder: string): Promise<Measured[]> {
  const folders = Array.from({ length: packRows }, (_, index) => join(folder, String(index)));
  for (const path of folders) await mkdir(path);
  const packs = new SamplePacks(packCount);
  return [
    await measured('bare files', bytesOfAll, () =>
      eachPack(packs, ({ index, payload }, pack) => bareFile(folders[index] ?? folder, `${pack}`, payload)),
    ),
  ];
}

async function drives(folder: string): Promise<Measured[]> {
  const holders: Holder[] = [];
  for (let index = 0; index < packRows; index++) {
    const path = join(folder, String(index));
    const name = `drive ${index}`;
    const options = { name, vaultId: sampleVaultId };
    const random = (count: number): Uint8Array => new Uint8Array(count).fill(index);
    const { id } = await initDrive(nodeDisk, path, { ...options, random, now: '2026-01-01T00:00:00Z' });
    const isDevice = (deviceId: Uint8Array): boolean => equalBytes(deviceId, sampleDeviceId);
    holders.push(openDrive(nodeDisk, path, { ...options, id, isDevice, freeFloorBytes: 0 }));
  }
  const packs = new SamplePacks(packCount);
  const others = new SamplePacks(packCount, packCount);
  const at = (index: number): Holder => {
    const holder = holders[index];
    if (holder === undefined) throw new Error(`no drive ${index}`);
    return holder;
  };
  const leafCount = shardPayloadBytes / leafBytes;
  const results = [
    await measured('put', bytesOfAll, () =>
      eachPack(packs, async (shard) => {
        await at(shard.index).put({ ...shard, leavesAreFresh: true });
      }),
    ),
    await measured('put, hashed', bytesOfAll, () =>
      eachPack(others, async (shard) => {
        await at(shard.index).put(shard);
      }),
    ),
    await measured('get as stored, whole shards', bytesOfAll, () =>
      eachPack(packs, async (shard) => {
        const range = await at(shard.index).get(shard, 0, leafCount, { asStored: true });
        if (range === undefined) throw new Error(`lost ${toHex(shard.packId)}`);
      }),
    ),
    await measured('get, whole shards', bytesOfAll, () =>
      eachPack(packs, async (shard) => {
        const range = await at(shard.index).get(shard, 0, leafCount);
        if (range === undefined || range.bytes.length !== shardPayloadBytes)
          throw new Error(`lost ${toHex(shard.packId)}`);
      }),
    ),
    await measured('get, 512 KiB at a time', bytesOfAll, () =>
      eachPack(packs, async (shard) => {
        for (let leaf = 0; leaf < leafCount; leaf += 8) await at(shard.index).get(shard, leaf, 8);
      }),
    ),
    await measured('verify', bytesOfAll, () =>
      eachPack(packs, async (shard) => {
        if ((await at(shard.index).verify(shard)) !== 'good') throw new Error('a shard is damaged');
      }),
    ),
  ];
  return results;
}

async function runJob(job: string, threads: string, base: string): Promise<Measured[]> {
  const folder = await mkdtemp(join(base, `${job}-`));
  try {
    const args = [
      fileURLToPath(import.meta.url),
      '--job',
      job,
      '--folder',
      folder,
      '--packs',
      String(packCount),
    ];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, UV_THREADPOOL_SIZE: threads },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      output += part;
    });
    const code = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    if (code !== 0) throw new Error(`${job} ended with ${code}`);
    return (JSON.parse(output) as Measured[]).map((each) => ({
      ...each,
      what: `${each.what}, ${threads} threads`,
    }));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const base = await mkdtemp(join(tmpdir(), 'kith-bench-holders-'));
  try {
    const best = new Map<string, Measured>();
    for (let round = 0; round < rounds; round++) {
      for (const threads of (values.threads ?? '4,16').split(',')) {
        for (const job of ['bare', 'drives']) {
          for (const each of await runJob(job, threads, base)) {
            const before = best.get(each.what);
            const cpuMs = Math.min(each.cpuMs, before?.cpuMs ?? each.cpuMs);
            const ms = Math.min(each.ms, before?.ms ?? each.ms);
            best.set(each.what, { ...each, ms, cpuMs });
          }
        }
      }
    }
    for (const { what, bytes, ms, cpuMs } of [...best.values()].sort((a, b) => (a.what < b.what ? -1 : 1))) {
      const rate = Math.round(bytes / 1000 / ms);
      process.stdout.write(
        `${what.padEnd(36)} ${String(rate).padStart(6)} MB/s  ${String(Math.round((cpuMs * 1e9) / bytes)).padStart(6)} ms of processor a GB\n`,
      );
    }
  } finally {
    await rm(base, { recursive: true, force: true });
  }
}

const jobs = new Map([
  ['bare', bare],
  ['drives', drives],
]);
const job = jobs.get(values.job ?? '');
if (job === undefined) await main();
else process.stdout.write(JSON.stringify(await job(values.folder ?? '')));
