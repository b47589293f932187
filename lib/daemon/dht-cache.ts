import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { concatBytes, equalBytes } from '../base/bytes.ts';
import { ByteReader, ByteWriter, fileHead, readFileHead } from '../base/codec.ts';
import type { HostPort } from '../base/host-port.ts';
import { isKithError } from '../base/errors.ts';
import { hashBytes, hashIn } from '../crypto/hash.ts';
import { writeDurably } from '../disk/write-durably.ts';
import type { Session } from '../vault/session.ts';

const magic = 'kithdhtc';
const version = 1;
const fileName = 'dht-cache';

/** Nodes that are kept: enough to find the others by, and few enough that whoever named them can't have us ask many. */
export const cachedNodesMax = 32;

const fileBytesMax = 1024;

/** The file's bytes (docs/formats/store.md). Nodes that aren't an IPv4 address and a port are left out, and those beyond the limit. */
export function encodeDhtCache(nodes: readonly HostPort[]): Uint8Array {
  const sound = nodes.filter(({ host, port }) => isIPv4(host) && port > 0 && port < 65536);
  const kept = sound.slice(0, cachedNodesMax);
  const writer = new ByteWriter().varint(kept.length);
  for (const { host, port } of kept) writer.bytes(new Uint8Array(host.split('.').map(Number))).u16(port);
  const body = concatBytes(fileHead(magic, version), writer.finish());
  return concatBytes(body, hashIn('checksum', body));
}

/** KithError `malformed`, `too-new`, `not-authentic` for bytes that aren't such a file. */
export function decodeDhtCache(bytes: Uint8Array): HostPort[] {
  const reader = new ByteReader(bytes, 'known nodes');
  readFileHead(reader, magic, version);
  const count = reader.varint(cachedNodesMax);
  const nodes: HostPort[] = [];
  for (let i = 0; i < count; i++) {
    const host = reader.bytes(4).join('.');
    const port = reader.u16();
    if (port === 0) throw reader.fail('port 0');
    nodes.push({ host, port });
  }
  const body = bytes.subarray(0, reader.offset);
  if (!equalBytes(reader.bytes(hashBytes), hashIn('checksum', body))) throw reader.fail('a wrong checksum');
  reader.end();
  return nodes;
}

/** The nodes of friends' DHT that were known when it was last written; none where there is no such file, or a damaged one. */
export async function readDhtCache({ home, surroundings }: Session): Promise<HostPort[]> {
  try {
    const bytes = await surroundings.disk.readWhole(join(home, fileName), fileBytesMax);
    return bytes === undefined ? [] : decodeDhtCache(bytes);
  } catch (error) {
    if (isKithError(error)) return [];
    throw error;
  }
}

/** Replaces the file. Errors of writeDurably. */
export async function writeDhtCache(
  { home, surroundings }: Session,
  nodes: readonly HostPort[],
): Promise<void> {
  await writeDurably(surroundings.disk, {
    tempFolder: join(home, 'tmp'),
    path: join(home, fileName),
    parts: [encodeDhtCache(nodes)],
    mode: 0o600,
  });
}
