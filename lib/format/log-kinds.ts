/** Kinds of log records (docs/formats/log.md): 1–63 stand in catalogs, 64–127 in ledgers. A number is never used again. */
export const recordKinds = {
  logOpened: 1,
  snapshot: 2,
  forget: 3,
  setting: 4,
  holder: 5,
  keyRecord: 6,
  index: 7,
  checkpoint: 8,
  certificate: 9,
  revocation: 10,
  addressRecord: 11,
  friend: 12,
  invite: 13,
  pack: 64,
  placement: 65,
  condemn: 66,
  acknowledge: 67,
  release: 68,
  lost: 69,
} as const;

export type RecordKindName = keyof typeof recordKinds;
export type RecordKind = (typeof recordKinds)[RecordKindName];

/** What a reader does with a record that it doesn't know; exactly one is set. */
export const recordFlags = { skipIfUnknown: 1, stopIfUnknown: 2 } as const;

/** The newest version of every body that this kith reads. */
export const recordVersion = 1;

/** The two logs of a device. */
export const logRoles = { catalog: 1, ledger: 2 } as const;
export type LogRole = (typeof logRoles)[keyof typeof logRoles];
export const logRoleNumbers: readonly LogRole[] = Object.values(logRoles);

const names: ReadonlyMap<number, RecordKindName> = new Map(
  (Object.keys(recordKinds) as RecordKindName[]).map((name) => [recordKinds[name], name]),
);

/** Overlooking one of these could lose data or trust what is void. */
const stopKinds: ReadonlySet<number> = new Set([
  recordKinds.checkpoint,
  recordKinds.revocation,
  recordKinds.pack,
  recordKinds.condemn,
  recordKinds.acknowledge,
  recordKinds.release,
]);

/** The name of a kind, or undefined for one that this kith doesn't know. */
export function kindName(kind: number): RecordKindName | undefined {
  return names.get(kind);
}

/** The flags that a known kind is written with. RangeError for an unknown one. */
export function flagsOfKind(kind: number): number {
  if (!names.has(kind)) throw new RangeError(`record kind ${kind} is unknown`);
  return stopKinds.has(kind) ? recordFlags.stopIfUnknown : recordFlags.skipIfUnknown;
}

/**
 * What to do with a record: read it, skip it, or stop reading its log with `too-new`. A known kind with a newer
 * body counts as unknown.
 */
export function unknownKindAction(
  kind: number,
  flags: number,
  version: number = recordVersion,
): 'known' | 'skip' | 'stop' {
  if (names.has(kind) && version <= recordVersion) return 'known';
  return flags === recordFlags.skipIfUnknown ? 'skip' : 'stop';
}
