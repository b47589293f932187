import * as fc from 'fast-check';
import { utf8 } from '../../lib/base/bytes.ts';
import { leafBytes } from '../../lib/base/limits.ts';
import { suites } from '../../lib/crypto/aead.ts';
import { hashIn } from '../../lib/crypto/hash.ts';
import { leafHashes, merkleRoot } from '../../lib/crypto/merkle.ts';
import type { SignKeyPair } from '../../lib/crypto/sign.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import { blobKinds } from '../../lib/format/blob.ts';
import type { IndexRef } from '../../lib/format/index-blob.ts';
import { packIdOf } from '../../lib/format/manifest.ts';
import type { Manifest } from '../../lib/format/manifest.ts';
import type { PackDirectory } from '../../lib/format/pack-directory.ts';
import type { PackHead } from '../../lib/format/pack-head.ts';
import { shardHeadBytes } from '../../lib/format/shard-file.ts';
import type { ShardHead } from '../../lib/format/shard-file.ts';
import type { Snapshot } from '../../lib/format/snapshot.ts';
import { entryTypes, validName } from '../../lib/format/tree.ts';
import type { TreeEntry } from '../../lib/format/tree.ts';
import { Seeded } from '../support/seeded.ts';

/** Values of every data format, the same on every run: golden vectors are made of them. */

/** An id that follows from a label. */
export function idOf(label: string): Uint8Array {
  return hashIn('checksum', utf8(label));
}

/** `count` ids that follow from a label. */
export function idsOf(label: string, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => idOf(`${label} ${i}`));
}

/** `count` ids as random as hashes are, at a tenth of their cost: for tests of very many. */
export function randomIds(seed: number, count: number): Uint8Array[] {
  const random = new Seeded(seed);
  return Array.from({ length: count }, () => {
    const words = new Uint32Array(8).map(() => random.below(2 ** 32));
    return new Uint8Array(words.buffer);
  });
}

export const deviceKeys: SignKeyPair = signKeyPair(idOf('device seed'));

export const sampleHead: PackHead = {
  version: 1,
  suite: suites.aes256Gcm,
  keyEpoch: 7,
  salt: idOf('salt'),
};

export const sampleDirectory: PackDirectory = {
  frames: [
    {
      offset: 48,
      sealedLength: 500_021,
      plainBytes: 500_000,
      blobs: [{ kind: blobKinds.data, blobId: idOf('chunk'), offsetInFrame: 0, length: 500_000 }],
    },
    {
      offset: 500_069,
      sealedLength: 70,
      plainBytes: 900,
      blobs: [
        { kind: blobKinds.tree, blobId: idOf('tree'), offsetInFrame: 0, length: 300 },
        { kind: blobKinds.list, blobId: idOf('list'), offsetInFrame: 300, length: 0 },
        { kind: blobKinds.snapshot, blobId: idOf('snapshot'), offsetInFrame: 300, length: 600 },
      ],
    },
  ],
};

/** One leaf, so that tests of whole shard files are small. */
export const samplePayload: Uint8Array = new Uint8Array(leafBytes).map((_, i) => (i * 7) & 0xff);
export const sampleLeaves: Uint8Array = leafHashes(samplePayload, leafBytes);

const roots = [
  idOf('root 0'),
  merkleRoot(sampleLeaves),
  ...idsOf('root', 5).slice(2),
  idOf('r5'),
  idOf('r6'),
];

export const sampleManifest: Omit<Manifest, 'signature'> = {
  vaultId: idOf('vault'),
  packId: packIdOf(3, 0, roots),
  keyEpoch: 7,
  generation: 1,
  k: 3,
  n: 5,
  spare: 2,
  class: 0,
  roots,
  signer: deviceKeys.publicKey,
};

export const sampleShardHead: ShardHead = {
  k: 3,
  index: 1,
  class: 0,
  keyEpoch: 7,
  vaultId: sampleManifest.vaultId,
  packId: sampleManifest.packId,
  manifestBytes: shardHeadBytes + 300,
};

export const sampleSnapshot: Snapshot = {
  vaultId: idOf('vault'),
  deviceId: deviceKeys.publicKey,
  timeNs: 1_780_000_000_123_456_789n,
  durationNs: 12_345_678_901n,
  host: 'almond',
  user: 'ada',
  partial: true,
  parent: idOf('parent'),
  sources: [utf8('/home/ada'), new Uint8Array([0x2f, 0xff, 0xfe])],
  excludes: ['*.tmp', 'node_modules'],
  tags: ['daily', 'größer'],
  root: { level: 0, ids: idsOf('root tree', 2) },
  summary: {
    filesNew: 1,
    filesChanged: 2,
    filesUnmodified: 300,
    folders: 4,
    symlinks: 5,
    others: 6,
    unreadable: 7,
    bytesProcessed: 2 ** 45,
    bytesAdded: 9,
  },
};

export const sampleIndexRef: IndexRef = {
  blobId: idOf('index blob'),
  packId: idOf('index pack'),
  offset: 48,
  sealedLength: 999,
  ordinal: 3,
  offsetInFrame: 17,
  length: 900,
};

/** A file with nothing out of the ordinary. */
export function plainFile(name: string, label: string = name): TreeEntry {
  return {
    name: utf8(name),
    type: entryTypes.file,
    mode: 0o644,
    uid: 1000,
    gid: 100,
    user: 'ada',
    group: 'users',
    mtimeNs: 1_700_000_000_123_456_789n,
    ctimeNs: 1_700_000_001_000_000_000n,
    inode: 42n,
    size: 1234,
    content: { level: 0, ids: [idOf(label)] },
  };
}

/** One entry of every type, with every optional field. Ascending by name. */
export const sampleEntries: readonly TreeEntry[] = [
  {
    ...plainFile('a-file'),
    mode: 0o4755,
    mtimeNs: -1n,
    birthtimeNs: 1n,
    size: 2 ** 40,
    content: { level: 2, ids: idsOf('lists', 3) },
    hardlink: { device: 2n ** 64n - 1n, inode: 7n, links: 2 },
    sparse: [
      { offset: 0, length: 4096 },
      { offset: 2 ** 39, length: 2 ** 39 },
    ],
    xattrs: [
      { name: utf8('user.empty'), value: new Uint8Array(0) },
      { name: utf8('user.mood'), value: new Uint8Array([0, 1, 255]) },
    ],
    error: 'EIO: read error at 512; größer',
    flags: 0x10,
    extra: [{ tag: 99, bytes: utf8('of a newer kith') }],
  },
  { ...plainFile('b-folder'), type: entryTypes.folder, mode: 0o1777, size: 0, sparse: undefined },
  { ...bare('c-symlink', entryTypes.symlink), linkTarget: utf8('../../etc/passwd') },
  bare('d-fifo', entryTypes.fifo),
  bare('e-socket', entryTypes.socket),
  { ...bare('f-block', entryTypes.blockDevice), device: { major: 8, minor: 1 } },
  { ...bare('g-character', entryTypes.characterDevice), device: { major: 1, minor: 0xffffffff } },
  { ...bare('h-unreadable', entryTypes.unreadable), error: 'EACCES' },
  { ...bare('i', entryTypes.fifo), name: new Uint8Array([0xff, 0xfe, 0x0a]) },
];

function bare(name: string, type: TreeEntry['type']): TreeEntry {
  return {
    name: utf8(name),
    type,
    mode: 0o600,
    uid: 0,
    gid: 0xffffffff,
    mtimeNs: 0n,
    ctimeNs: 0n,
    inode: 0n,
    size: 0,
  };
}

/** As fc.record, with the prototype that decoded objects have. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(fields, { noNullPrototype: true });
}

const idBytes = fc.uint8Array({ minLength: 32, maxLength: 32 });
const i64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const owner = fc.option(fc.string({ unit: 'binary', maxLength: 60 }), { nil: undefined });

const common = {
  name: fc.uint8Array({ minLength: 1, maxLength: 40 }).filter(validName),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: u32,
  gid: u32,
  user: owner,
  group: owner,
  mtimeNs: i64,
  ctimeNs: i64,
  inode: u64,
  birthtimeNs: fc.option(i64, { nil: undefined }),
  flags: fc.option(u32, { nil: undefined }),
  error: fc.option(fc.string({ unit: 'binary', maxLength: 60 }), { nil: undefined }),
  xattrs: fc.option(
    fc.array(
      record({
        name: fc.uint8Array({ minLength: 1, maxLength: 20 }).filter((name) => !name.includes(0)),
        value: fc.uint8Array({ maxLength: 60 }),
      }),
      { maxLength: 4 },
    ),
    { nil: undefined },
  ),
};
const content = record({
  level: fc.integer({ min: 0, max: 3 }),
  ids: fc.array(idBytes, { maxLength: 5 }),
});
const hardlink = fc.option(record({ device: u64, inode: u64, links: u32 }), { nil: undefined });

/** Any entry that the format allows. */
export const anyEntry: fc.Arbitrary<TreeEntry> = fc.oneof(
  record({ ...common, type: fc.constant(entryTypes.file), size: fc.maxSafeNat(), content, hardlink }),
  record({ ...common, type: fc.constant(entryTypes.folder), size: fc.constant(0), content }),
  record({
    ...common,
    type: fc.constant(entryTypes.symlink),
    size: fc.constant(0),
    linkTarget: fc.uint8Array({ minLength: 1, maxLength: 50 }).filter((target) => !target.includes(0)),
  }),
  record({
    ...common,
    type: fc.constantFrom(entryTypes.blockDevice, entryTypes.characterDevice),
    size: fc.constant(0),
    device: record({ major: u32, minor: u32 }),
  }),
  record({
    ...common,
    type: fc.constantFrom(entryTypes.fifo, entryTypes.socket, entryTypes.unreadable),
    size: fc.constant(0),
    hardlink,
  }),
);

/** Without the fields that are undefined: what decoding gives. */
export function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as T;
}
