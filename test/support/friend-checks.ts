import assert from 'node:assert/strict';
import { basename, dirname, join } from 'node:path';
import { hostingMarker } from '../../lib/custody/hosting.ts';
import { home, spread } from './crash-machine.ts';
import type { FaultDisk } from './fault-disk.ts';
import { friendHome, type FriendHome } from './friend-home.ts';
import type { FriendMachine } from './friend-machine.ts';

const noLogs: ReadonlySet<string> = new Set();

/**
 * What must hold some time after any crash, with all friends up: the next backup succeeds, a repair leaves every pack as safe as the
 * spread says, all snapshots restore, no temporary file is left, each friend's account says what is on its disk, home and friends have
 * the same logs, and no log was ever forked. Logs in `branched` went on in two places before anybody could know: those stay as they are.
 */
export async function checkWorksAgain(
  machine: FriendMachine,
  branched: ReadonlySet<string> = noLogs,
): Promise<void> {
  await machine.up();
  const summary = await machine.backup();
  assert.equal(summary.state, 'complete');
  assert.equal(summary.filesUnreadable, 0);
  const repaired = await machine.repair();
  assert.equal(repaired.toleratesAfter, spread.n - spread.k, 'after a repair');
  assert.equal(repaired.shardsStillMissing, 0);
  assert.equal(repaired.packsLost, 0);
  await machine.checkSnapshots();
  checkNothingIsLeft(machine);
  for (const friend of machine.friends) await checkAccount(friend, machine.vaultId);
  checkLogsAgree(machine, branched);
  machine.see();
  assert.deepEqual([...branchedLogs(machine)], [...branched], 'no other log was forked');
}

/** Logs of which different authentic records were ever seen in one place. */
export function branchedLogs(machine: FriendMachine): Set<string> {
  return new Set(machine.witness.forks().map(({ logKey }) => logKey));
}

/** No friend has a segment that the home hasn't: what is given away can't be lost here. */
export function checkNobodyHasMore(machine: FriendMachine): void {
  const ours = segmentsIn(machine.disk, home);
  for (const { disk, name } of machine.friends) {
    for (const [place, bytes] of segmentsIn(disk, friendHome))
      assert.equal(ours.get(place), bytes, `${name} has ${place}, which the home lost`);
  }
}

/** Files that only a write under way, or a wait, has. */
export function checkNothingIsLeft(machine: FriendMachine): void {
  const isLeft = (path: string): boolean =>
    /\/tmp\/|\.tmp$/.test(path) || path.startsWith(`${home}/pending/`) || path.includes('/queue/shards/');
  for (const disk of [machine.disk, ...machine.friends.map((friend) => friend.disk)])
    assert.deepEqual(disk.files().filter(isLeft), [], 'left over');
}

/** What a friend says is used, without counting anew, is what is on its disk; nothing is reserved between sessions. */
export async function checkAccount(friend: FriendHome, vaultId: string): Promise<void> {
  const room = await friend.hosting.storeOf(vaultId)?.room();
  const onDisk = friend.disk
    .files()
    .filter((path) => path !== join(friendHome, ...hostingMarker) && !path.includes('/tmp/'))
    .reduce((sum, path) => sum + (friend.disk.peek(path)?.length ?? 0), 0);
  assert.ok(onDisk > 0);
  assert.equal(room?.usedBytes, onDisk, `the account of ${friend.name}`);
  assert.equal(room.reservedBytes, 0, `${friend.name} holds room for nobody`);
}

/** Segments below a folder, by log and first index. */
export function segmentsIn(disk: FaultDisk, folder: string): Map<string, string> {
  return new Map(
    disk
      .files()
      .filter((path) => path.startsWith(`${folder}/`) && path.endsWith('.seg'))
      .map((path) => [
        `${basename(dirname(path))}/${basename(path)}`,
        Buffer.from(disk.peek(path) ?? new Uint8Array(0)).toString('base64'),
      ]),
  );
}

/** Segments that the home has and a friend hasn't, or not as they are. */
export function lackingAt(machine: FriendMachine, name: string): string[] {
  const theirs = segmentsIn(machine.friend(name).disk, friendHome);
  return [...segmentsIn(machine.disk, home)]
    .filter(([place, bytes]) => theirs.get(place) !== bytes)
    .map(([place]) => place);
}

/** The home and each friend hold the same segments and the same key record, byte for byte. */
export function checkLogsAgree(machine: FriendMachine, branched: ReadonlySet<string> = noLogs): void {
  const agreed = (disk: FaultDisk, folder: string): [string, string][] =>
    [...segmentsIn(disk, folder)].filter(([place]) => !branched.has(place.slice(0, 64)));
  const ours = new Map(agreed(machine.disk, home));
  assert.ok(ours.size > 0);
  for (const { disk, name } of machine.friends) {
    assert.deepEqual(new Map(agreed(disk, friendHome)), ours, `logs of ${name}`);
    const keys = disk.peek(`${friendHome}/hosted/keys/${machine.vaultId}.keys`);
    assert.deepEqual(keys, machine.disk.peek(`${home}/keys`), `the key record of ${name}`);
  }
}
