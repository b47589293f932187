import assert from 'node:assert/strict';
import { contentIds, type Content } from '../../lib/format/content.ts';
import { Stages } from '../../lib/pipeline/stages.ts';
import type { BlobReader } from '../../lib/vault/read/blob-reader.ts';
import { prepareRead } from '../../lib/vault/read/prepare.ts';
import { RestoreLanes } from '../../lib/vault/restore/restore-lanes.ts';
import type { Session } from '../../lib/vault/session.ts';
import { resolveSnapshot } from '../../lib/vault/read/snapshots.ts';
import { namesOf, TreeReader } from '../../lib/vault/read/tree-reader.ts';
import type { VaultFixture } from './vault-fixture.ts';

/** The file `big` of the latest snapshot, and what reads it. */
export async function bigFileOf(
  fixture: VaultFixture,
  session: Session,
): Promise<{
  readonly reader: BlobReader;
  readonly names: readonly Uint8Array[];
  readonly content: Content;
}> {
  const { reader } = await prepareRead(session, () => undefined);
  const { found } = await resolveSnapshot(session, 'latest');
  const names = namesOf(`${fixture.source}/big`);
  const entry = await new TreeReader(reader).at(found.snapshot.root, names);
  assert.ok(entry?.content !== undefined);
  return { reader, names, content: entry.content };
}

/** Two lanes on threads from the start, which are given chunks alone; `onBytes` is told of each that is done. */
export function chunkLanes(
  session: Session,
  reader: BlobReader,
  onBytes: (count: number) => void = () => undefined,
): RestoreLanes {
  return new RestoreLanes({
    reader,
    setup: { blobIdKey: session.device.blobIdKey, known: [] },
    threads: 2,
    atOnce: true,
    spanLeavesMax: 64,
    stages: new Stages(),
    signal: undefined,
    listener: {
      onNoThreads: (why) => assert.fail(why),
      onFile: () => Promise.reject(new Error('no file was given')),
      onChunk: ({ blob }, end) => {
        assert.equal(end, undefined);
        onBytes(blob.place.length);
        return Promise.resolve();
      },
    },
  });
}

/** Gives the chunks of a content to lanes, in order: with each call those that begin before a byte. */
export function chunkGiver(
  lanes: RestoreLanes,
  reader: BlobReader,
  content: Content,
  to: { readonly names: readonly Uint8Array[]; readonly handle: number },
): { given: number; until(byte: number): Promise<void> } {
  const chunks = contentIds(content, reader.list);
  const giver = {
    given: 0,
    until: async (byte: number): Promise<void> => {
      while (giver.given < byte) {
        const next = await chunks.next();
        if (next.done === true) break;
        const blobId = next.value;
        const place = reader.placeOf(blobId);
        const manifest = place === undefined ? undefined : reader.manifestOf(place.packId);
        assert.ok(place !== undefined && manifest !== undefined);
        await lanes.addChunk({ file: to, offset: giver.given, blob: { blobId, place, manifest } });
        giver.given += place.length;
      }
    },
  };
  return giver;
}
