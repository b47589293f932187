import type { ContentVerdict, PackToCheck, PackVerdict } from '../pipeline/check-pack.ts';

/** What a thread that checks packs is given at its start. */
export interface CheckSetup {
  readonly vaultId: Uint8Array;
  /** The identity's key that names blobs, 32 bytes. */
  readonly blobIdKey: Uint8Array;
}

/** One pack, and what opens it. Copies of shards that lie in shared memory stay there; others are copied on their way. */
export interface CheckJob {
  readonly pack: PackToCheck;
  /** Id keys of the devices that may sign manifests, as they are known now: more may be certified while a check runs. */
  readonly devices: ReadonlySet<string>;
  /** The keys of the pack's epoch, 32 bytes each; the caller keeps all others. */
  readonly sealingKeys: readonly Uint8Array[];
}

/** A PackVerdict with its directory as bytes: a pack may have 65,536 blobs, and as many objects cost more to send than to make. */
export interface CheckResult {
  readonly copies: PackVerdict['copies'];
  readonly content:
    (Omit<ContentVerdict, 'directory'> & { readonly directory: Uint8Array | undefined }) | undefined;
}
