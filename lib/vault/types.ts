import type { KithError } from '../base/errors.ts';
import type { Visibility } from '../trust/visibility.ts';
import type { PingStep, Reachability, Standing } from './friends/friend-network.ts';

/** What long operations tell while they run. Byte and file counts only grow; totals grow while the walk goes on. */
export interface Progress {
  /** What is being done now. */
  readonly phase: 'scan' | 'read' | 'place' | 'publish' | 'restore' | 'check' | 'repair' | 'recover' | 'wait';
  readonly filesDone: number;
  readonly filesTotal: number | undefined;
  readonly bytesDone: number;
  readonly bytesTotal: number | undefined;
  /** The path, holder or step at hand, for people. */
  readonly current: string | undefined;
}

/** How an operation reports and is stopped. */
export interface Operation {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** One thing that went wrong without ending the operation: a file that could not be read, a shard that was bad. */
  readonly onProblem?: (problem: Problem) => void;
  /** One thing done, for --verbose. */
  readonly onItem?: (item: {
    readonly action: string;
    readonly path: string;
    readonly bytes: number;
  }) => void;
}

/** Something that went wrong without ending the operation. `item` is a path or a holder's name. */
export interface Problem {
  readonly item: string;
  readonly message: string;
  readonly code: KithError['code'];
}

/** Any k of n shards give a pack back. */
export interface Spread {
  readonly k: number;
  readonly n: number;
}

export type SnapshotState = 'complete' | 'partial' | 'pending';

export interface BackupOptions extends Operation {
  /** Files and folders; relative ones are taken from `workingFolder`. */
  readonly paths: readonly string[];
  readonly excludes?: readonly string[];
  readonly excludeFiles?: readonly string[];
  readonly excludeCaches?: boolean;
  readonly excludeIfPresent?: readonly string[];
  readonly excludeLargerThan?: number;
  readonly oneFileSystem?: boolean;
  readonly tags?: readonly string[];
  readonly spread?: Spread;
  readonly dryRun?: boolean;
  /** Reads every file, even those that look unchanged. */
  readonly force?: boolean;
}

export interface BackupSummary {
  /** Full hex id; null for a dry run. */
  readonly snapshotId: string | null;
  readonly filesNew: number;
  readonly filesChanged: number;
  readonly filesUnmodified: number;
  readonly filesUnreadable: number;
  /** Files that changed each time they were read: what is stored of them may be a mixture. */
  readonly filesChangedWhileRead: number;
  readonly foldersTotal: number;
  readonly totalFilesProcessed: number;
  readonly totalBytesProcessed: number;
  /** Plaintext bytes new to the vault. */
  readonly dataAdded: number;
  /** Bytes sent to holders, parity included. */
  readonly dataStored: number;
  readonly packsNew: number;
  readonly shardsPlaced: number;
  readonly shardsMissing: number;
  readonly packsBelowK: number;
  readonly state: SnapshotState;
  readonly spread: Spread;
  /** Households whose loss every pack still survives; null when not restorable now. */
  readonly tolerates: number | null;
  readonly durationMs: number;
  /** Milliseconds by stage (walk, read, chunk, hash, compress, seal, encode, place, publish), for the bench. */
  readonly stages: Readonly<Record<string, number>>;
}

export interface SnapshotInfo {
  readonly id: string;
  readonly shortId: string;
  readonly timeNs: bigint;
  readonly paths: readonly string[];
  readonly hostname: string;
  readonly user: string;
  readonly tags: readonly string[];
  readonly state: SnapshotState;
  readonly parent: string | null;
  readonly summary: {
    readonly files: number;
    readonly folders: number;
    readonly bytes: number;
    readonly bytesAdded: number;
    readonly unreadable: number;
  };
}

export interface ListedEntry {
  /** Path inside the snapshot, absolute, for people (invalid UTF-8 replaced). */
  readonly path: string;
  readonly type:
    'file' | 'folder' | 'symlink' | 'fifo' | 'socket' | 'block-device' | 'character-device' | 'unreadable';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly user: string | null;
  readonly group: string | null;
  readonly bytes: number;
  readonly mtimeNs: bigint;
  readonly linkTarget: string | null;
  readonly error: string | null;
}

export interface RestoreOptions extends Operation {
  /** `SNAP` or `SNAP:PATH`; SNAP is a hex prefix or `latest`. */
  readonly what: string;
  readonly target: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly overwrite?: 'always' | 'if-changed' | 'if-newer' | 'never';
  /** Removes from the target's restored folders what the snapshot doesn't have. */
  readonly deleteExtra?: boolean;
  readonly dryRun?: boolean;
  /** Reads back what was written and compares. */
  readonly verify?: boolean;
}

export interface RestoreSummary {
  readonly filesRestored: number;
  readonly filesSkipped: number;
  readonly filesFailed: number;
  readonly foldersRestored: number;
  readonly symlinksRestored: number;
  readonly bytesRestored: number;
  /** Files, folders and other things that `deleteExtra` took (in a dry run: would take). */
  readonly removed: number;
  /** Shards that were bad or gone and were replaced by others on the way. */
  readonly shardsReplaced: number;
  readonly durationMs: number;
  readonly stages: Readonly<Record<string, number>>;
}

export type ShardState = 'held' | 'suspect' | 'lost' | 'trash' | 'missing';

export interface ShardPlace {
  readonly index: number;
  readonly holder: string | null;
  readonly holderId: string | null;
  readonly kind: 'friend' | 'drive' | null;
  readonly state: ShardState;
}

export interface PackPlace {
  readonly packId: string;
  readonly spread: Spread;
  readonly generation: number;
  readonly shards: readonly ShardPlace[];
}

export interface WhereResult {
  readonly snapshotId: string;
  readonly path: string | null;
  readonly packs: readonly PackPlace[];
  readonly tolerates: number | null;
}

export type Verdict = 'Safe' | 'Thin' | 'Late' | 'At risk' | 'Waiting' | 'Lost';

export interface DriveInfo {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly household: string | null;
  readonly whole: boolean;
  readonly available: boolean;
  /** Why it isn't available, in words. */
  readonly reason: string | null;
  readonly quotaBytes: number | null;
  readonly usedBytes: number | null;
  readonly freeBytes: number | null;
  readonly shards: number | null;
}

/** A friend as `friend list` and `status` show it. Sizes are bytes; null where they can't be known now. */
export interface FriendInfo {
  /** 64 hex digits: the friend's identity. */
  readonly id: string;
  /** My name for the friend. */
  readonly name: string;
  readonly household: string | null;
  readonly online: boolean;
  readonly via: 'direct' | 'punched' | 'relay' | null;
  readonly address: string | null;
  /** Why it isn't online, in words; null when it is. */
  readonly reason: string | null;
  /** What the last try to reach it was made of; empty when it is online. */
  readonly steps: readonly PingStep[];
  /** Services that the friend may use here. */
  readonly allow: readonly string[];
  /** Whether this friend may find me through others, or tell them of me. */
  readonly visibility: Visibility;
  /** Room I give. */
  readonly quotaGiven: number;
  readonly usedByThem: number | null;
  readonly reservedByThem: number | null;
  readonly trashOfThem: number | null;
  /** Room I get: what the friend said when it was last asked in this process. */
  readonly quotaReceived: number | null;
  readonly usedByMe: number | null;
  readonly shardsOfMine: number | null;
  /** Names as their card has them, or `computer 3fa2 of Ben` for one that has none. */
  readonly devices: readonly { readonly id: string; readonly name: string }[];
  readonly addresses: readonly string[];
  /** True while the friend says that its line is metered: new data waits. */
  readonly metered: boolean;
  /** Bytes a second at most that go there and come from there; null for no limit of its own. */
  readonly uploadLimit: number | null;
  readonly downloadLimit: number | null;
  /** Their invite that was accepted here and isn't done with: waiting, or why it was refused. Null for most. */
  readonly invite: 'pending' | 'used' | 'expired' | 'refused' | null;
  /** Words that both friends see alike, with spaces; null where nobody asked for them: each costs a tenth of a second. */
  readonly safetyWords: string | null;
}

export interface InviteOptions {
  /** What the one who accepts will be called here; else as their card says. */
  readonly name?: string;
  /** Room that whoever accepts will have here. */
  readonly quotaBytes?: number;
  readonly expiresInMs?: number;
}

/** An invite that this identity made. */
export interface InviteInfo {
  /** 64 hex digits: the public half of its one-time key, no secret. */
  readonly id: string;
  readonly state: 'open' | 'used' | 'withdrawn' | 'expired';
  readonly madeMs: number;
  readonly expiresMs: number;
  readonly quotaBytes: number;
  /** What the one who accepts will be called; null for as their card says. */
  readonly name: string | null;
  /** The identity that used it. */
  readonly usedBy: string | null;
  /** My name for who used it; null also where the friendship has ended. */
  readonly friend: string | null;
  /** When it was used or withdrawn. */
  readonly closedNs: bigint | null;
  /** True on the device that made it, which alone answers it. */
  readonly answeredHere: boolean;
  /** As in FriendInfo, once it is used. */
  readonly safetyWords: string | null;
}

/** A new invite with its text, `kith:invite:…`, which is secret and told only once. */
export interface InviteMade extends InviteInfo {
  readonly text: string;
}

/** A device of this identity, as `device list` shows it. */
export interface DeviceInfo {
  /** 64 hex digits: its signing key. */
  readonly id: string;
  /** What it calls itself to the identity's other devices; until that is known here, the name in its certificate. */
  readonly name: string;
  /** True for the device that this is. */
  readonly isThis: boolean;
  readonly createdNs: bigint;
  /** When this device last met it, ms since 1970; null if it never did. */
  readonly lastSeenMs: number | null;
  /** When it was revoked; null for a device that is trusted. */
  readonly revokedNs: bigint | null;
  readonly online: boolean;
}

export interface LinkOptions {
  /** The 24 words. */
  readonly phrase: string;
  /** Where to wait; all addresses of this computer and a free port unless given. */
  readonly listen?: { readonly host: string; readonly port: number };
}

/** A link that was made and waits for its device. */
export interface LinkBegun {
  /** Names it in what follows. */
  readonly id: string;
  /** One line, `kith:link:…`. Secret: with it somebody can ask to be let in. */
  readonly link: string;
  readonly expiresNs: bigint;
}

/** Who came with a link. Both screens show the words. */
export interface LinkCame {
  readonly deviceId: string;
  readonly name: string;
  readonly words: string;
}

export interface LinkFinish {
  /** The 24 words. */
  readonly phrase: string;
}

export interface JoinOptions {
  readonly home: string;
  readonly passphrase?: string | undefined;
  /** The line that the other device printed. */
  readonly link: string;
  /** What the identity's other devices call this one; the host's name unless given. */
  readonly name?: string | undefined;
  /** Told of the words to compare, before the other side decides. */
  readonly onWords?: (words: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What a device has become that joined an identity. */
export interface JoinSummary {
  readonly id: string;
  readonly name: string;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly snapshots: number;
}

export interface DeviceRevokeOptions {
  /** The 24 words. */
  readonly phrase: string;
}

/** What revoking a device came to. */
export interface DeviceRevoked {
  readonly device: DeviceInfo;
  /** True if it was revoked before: those who hadn't heard of it were told. */
  readonly already: boolean;
  /** Names of holders who know of it now, and of those who will hear when they are back. */
  readonly told: readonly string[];
  readonly away: readonly string[];
}

export interface FriendOptions {
  readonly name?: string;
  readonly quotaBytes?: number;
  readonly household?: string;
  /** Services to grant and to take back. */
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  /** Bytes a second at most; 0 takes the limit away. */
  readonly uploadLimit?: number;
  readonly downloadLimit?: number;
  /** Whether this friend may find me through others (`yes`), only tell them of me (`introduce`), or neither (`no`). */
  readonly visibility?: Visibility;
  /** True: the safety words were compared, and are the same on both sides. */
  readonly wordsMatch?: boolean;
}

export interface PingChoice {
  /** Only the sessions there are now are asked; nobody is dialled. */
  readonly sessionOnly?: boolean;
}

export interface PingResult {
  readonly friend: FriendInfo;
  readonly steps: readonly PingStep[];
}

export interface StatusResult {
  readonly verdict: Verdict;
  /** The verdict in one sentence, without the word itself. */
  readonly sentence: string;
  readonly reasons: readonly string[];
  /** The next command to run, or null when there is nothing to do. */
  readonly nextStep: string | null;
  readonly lastComplete: bigint | null;
  readonly lastDrill: bigint | null;
  readonly tolerates: number | null;
  readonly offsiteTolerates: number | null;
  readonly survivesHomeLoss: boolean;
  readonly id: string;
  readonly name: string;
  /** `HOST:PORT` where friends can dial this computer; null while no daemon listens. */
  readonly listen: string | null;
  /** How this computer stands among its friends; null while no daemon listens. */
  readonly standing: Standing | null;
  readonly friends: readonly FriendInfo[];
  readonly drives: readonly DriveInfo[];
  readonly snapshots: readonly {
    readonly id: string;
    readonly timeNs: bigint;
    readonly state: SnapshotState;
    readonly tolerates: number | null;
    readonly restorable: boolean;
    /** Health in words. */
    readonly health: string;
  }[];
  readonly waitingPacks: number;
  readonly waitingBytes: number;
}

export interface RepairOptions extends Operation {
  readonly dryRun?: boolean;
  /** Trusts the holders' lists instead of reading every shard's bytes. */
  readonly quick?: boolean;
}

export interface RepairSummary {
  readonly packsChecked: number;
  /** Shards without a place and damaged ones. */
  readonly shardsMissing: number;
  /** Those of them that are there, but bad. */
  readonly shardsDamaged: number;
  readonly shardsRebuilt: number;
  /** Shards that still lack a place. */
  readonly shardsStillMissing: number;
  readonly packsAdopted: number;
  /** Packs that a snapshot needs and that even all drives together can't give back. */
  readonly packsLost: number;
  /** Packs that could not be repaired for another reason; told as problems. */
  readonly packsFailed: number;
  readonly snapshotsPublished: number;
  readonly bytesRead: number;
  readonly bytesSent: number;
  readonly toleratesBefore: number | null;
  readonly toleratesAfter: number | null;
  /** Holders that were not there, by name. */
  readonly away: readonly string[];
  readonly durationMs: number;
}

export interface CheckOptions extends Operation {
  /** Reads every shard that is here, and opens all that is sealed in them. */
  readonly readData?: boolean;
  /** Reads a part only: `5%`, drawn at random, or `2/7`, the second of seven fixed parts. */
  readonly readPart?: string;
}

export interface CheckSummary {
  /** Published snapshots and waiting ones. */
  readonly snapshots: number;
  /** Ids of those that can't be restored whole, since blobs are damaged or gone for good. */
  readonly snapshotsAffected: readonly string[];
  /** Ids of those that can't be restored whole now, since too few holders are here. */
  readonly snapshotsNotNow: readonly string[];
  readonly packs: number;
  /** Packs whose bytes were read. */
  readonly packsRead: number;
  /** Packs of which stored bytes fail. */
  readonly packsDamaged: number;
  /** Packs of which fewer than k shards are left with anybody. */
  readonly packsLost: number;
  readonly shardsRead: number;
  readonly shardsDamaged: number;
  /** Shards that nobody has, damaged ones left aside. */
  readonly shardsMissing: number;
  /** Shards that only holders have which are away. */
  readonly shardsAway: number;
  /** Shards that their holder could not be asked for, though it is here. */
  readonly shardsUnread: number;
  readonly blobs: number;
  readonly blobsRead: number;
  /** Blobs that nobody can give as they were stored. */
  readonly blobsDamaged: number;
  /** Blobs that snapshots need and that are in no pack. */
  readonly blobsMissing: number;
  /** Logs, key records and directories that are no good, here or at holders. */
  readonly recordsDamaged: number;
  readonly bytesRead: number;
  /** Which part was read, in words; null if all or nothing. */
  readonly part: string | null;
  /** Holders that were not there, or went away, by name. */
  readonly away: readonly string[];
  readonly durationMs: number;
}

export interface DriveOptions {
  readonly path: string;
  readonly name?: string;
  readonly quotaBytes?: number;
  readonly household?: string;
  readonly whole?: boolean;
}

export interface ConfigEntry {
  readonly key: string;
  readonly value: string;
  readonly origin: 'default' | 'settings' | 'kith.toml';
  readonly help: string;
}

export interface RecoverSummary {
  readonly id: string;
  readonly name: string;
  readonly snapshots: number;
  readonly latest: string | null;
  /** Holders that gave logs, and how many of them agreed on the newest state. */
  readonly witnesses: number;
  readonly agreed: number;
  readonly drivesFound: readonly string[];
  readonly drivesAway: readonly string[];
  readonly friendsFound: readonly string[];
  readonly friendsAway: readonly string[];
  /** The identity's other computers that are trusted still: the one that was lost is among them. */
  readonly otherDevices: readonly Pick<DeviceInfo, 'id' | 'name'>[];
}

/**
 * An identity's vault, opened and locked for this process. Close it, whatever happens. Calls that read may run at the same time, and beside
 * one that writes; those that write take turns, which the caller sees to (`operationKinds`).
 */
export interface VaultApi {
  readonly id: string;
  readonly name: string;
  driveAdd(options: DriveOptions): Promise<DriveInfo>;
  /** `brief`: only who they are and whether they are here. Counting what they hold takes longer the more that is. */
  driveList(options?: { readonly brief?: boolean }): Promise<DriveInfo[]>;
  /** Forgets a drive. KithError `failed` if snapshots could then not be restored, unless forced. */
  driveRemove(nameOrId: string, options?: { readonly force?: boolean }): Promise<DriveInfo>;
  /** This identity's card as one line of text, `kith:card:…`. */
  card(): Promise<string>;
  /** Whether friends can dial this computer, in words; asks nobody. `asked`: a person was, here, what to do about it. */
  reachability(): Promise<Reachability & { readonly asked: boolean }>;
  /** Whoever uses this computer was asked what to do where friends can't dial it: that isn't asked again. */
  reachabilityAsked(): Promise<void>;
  /** The one-sided half of a mutual add. KithError `malformed`, `not-authentic`, `friend-exists`, `usage`. */
  friendAdd(card: string, options?: FriendOptions): Promise<FriendInfo>;
  /** Makes a single-use invite. KithError `usage`, `limit-exceeded`. */
  invite(options?: InviteOptions): Promise<InviteMade>;
  inviteList(): Promise<InviteInfo[]>;
  /** By the beginning of the id. KithError `failed`, `invite-used`. */
  inviteWithdraw(id: string): Promise<InviteInfo>;
  /** Waits until it is no longer open. KithError `failed` where nobody can reach this process. */
  inviteWait(id: string, options?: { readonly signal?: AbortSignal }): Promise<InviteInfo>;
  /**
   * Takes whoever invites as a friend, and begins to dial; `acceptWait` waits for them. KithError `malformed`, `not-authentic`,
   * `invite-expired`, `friend-exists`, `usage`.
   */
  accept(invite: string, options?: FriendOptions): Promise<FriendInfo>;
  /** Waits, at most so many ms, until the friend has let us in or refused. */
  acceptWait(
    nameOrId: string,
    msMax: number,
    options?: { readonly signal?: AbortSignal },
  ): Promise<FriendInfo>;
  friendList(): Promise<FriendInfo[]>;
  /** By name or the beginning of the id. KithError `friend-unknown`, as in what follows. */
  friendShow(nameOrId: string): Promise<FriendInfo>;
  friendSet(nameOrId: string, options: FriendOptions): Promise<FriendInfo>;
  /** Ends the friendship here. KithError `failed` if some snapshot could then not be restored, unless forced. */
  friendRemove(nameOrId: string, options?: { readonly force?: boolean }): Promise<FriendInfo>;
  friendPing(nameOrId: string, options?: PingChoice & { readonly signal?: AbortSignal }): Promise<PingResult>;
  /** This identity's devices, the oldest first, revoked ones included. */
  deviceList(): Promise<DeviceInfo[]>;
  /** Makes a link for one new device, which is waited for until it has come or quarter of an hour is over. */
  deviceLinkBegin(options: LinkOptions): Promise<LinkBegun>;
  /** Resolves when somebody has come with the link. When the signal fires the link is of no use any more. */
  deviceLinkWait(id: string, options?: { readonly signal?: AbortSignal }): Promise<LinkCame>;
  /** Takes the device in that came. KithError `wrong-phrase`, `failed`, `peer-unreachable`. */
  deviceLinkFinish(id: string, options: LinkFinish): Promise<DeviceInfo>;
  /** Sends away who came, and waits for nobody. */
  deviceLinkCancel(id: string): Promise<void>;
  /** Trusts another device no more, by name or the beginning of its id. KithError `wrong-phrase`, `device-unknown`, `usage`. */
  deviceRevoke(nameOrId: string, options: DeviceRevokeOptions): Promise<DeviceRevoked>;
  backup(options: BackupOptions): Promise<BackupSummary>;
  snapshots(filter?: {
    readonly tag?: string;
    readonly path?: string;
    readonly host?: string;
  }): Promise<SnapshotInfo[]>;
  /** Recursive, folders before what is in them, oldest bytes order. */
  list(what: string): AsyncIterable<ListedEntry>;
  restore(options: RestoreOptions): Promise<RestoreSummary>;
  where(what: string): Promise<WhereResult>;
  status(): Promise<StatusResult>;
  repair(options?: RepairOptions): Promise<RepairSummary>;
  /** KithError `usage` for a part that is none. */
  check(options?: CheckOptions): Promise<CheckSummary>;
  configGet(key?: string): Promise<ConfigEntry[]>;
  configSet(key: string, value: string): Promise<ConfigEntry>;
  close(): Promise<void>;
}

export interface InitOptions {
  readonly home: string;
  readonly name?: string;
  readonly passphrase?: string;
  /**
   * Is given the identity and its phrase before the vault exists: whatever dies later, there is never a vault of which nobody was shown
   * the phrase. If it throws, nothing is made.
   */
  readonly onPhrase?: (made: {
    readonly id: string;
    readonly name: string;
    readonly phrase: string;
  }) => Promise<void>;
}

export interface RecoverOptions extends Operation {
  readonly home: string;
  /** The text of the phrase, as typed. */
  readonly phrase: string;
  readonly drives: readonly string[];
  /** Friends' cards, as text. */
  readonly cards?: readonly string[];
  readonly passphrase?: string;
}

export interface OpenOptions {
  readonly home: string;
  readonly passphrase?: string;
  /** Told of what goes wrong while the vault is opened, and in operations that are given no listener of their own. */
  readonly onProblem?: (problem: Problem) => void;
}
