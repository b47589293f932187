import assert from 'node:assert/strict';
import type { Content } from '../../lib/format/content.ts';
import type { BlobReader } from '../../lib/vault/read/blob-reader.ts';
import { prepareRead } from '../../lib/vault/read/prepare.ts';
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
