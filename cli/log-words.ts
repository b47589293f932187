import { errorCodes, type ErrorCode } from '../lib/base/errors.ts';
import type { Method } from '../lib/api/methods.ts';
import type { LogEntry } from '../lib/daemon/log-file.ts';

/** What each call of the API is to the person who typed the command. */
const commandWords: Readonly<Record<Method, string>> = {
  driveAdd: 'kith drive add',
  driveList: 'kith drive list',
  driveRemove: 'kith drive remove',
  card: 'kith card',
  reachability: 'the question whether friends can dial this computer',
  friendAdd: 'kith friend add',
  invite: 'kith invite',
  inviteList: 'kith invite list',
  inviteWithdraw: 'kith invite withdraw',
  inviteWait: 'the wait for somebody to accept an invite',
  accept: 'kith accept',
  acceptWait: 'the wait for whoever made an invite',
  friendList: 'kith friend list',
  friendShow: 'kith friend show',
  friendSet: 'kith friend set',
  friendRemove: 'kith friend remove',
  friendPing: 'kith friend ping',
  reachabilityAsked: 'the note that you were asked how friends reach you',
  deviceList: 'kith device list',
  deviceLinkBegin: 'kith device link',
  deviceLinkWait: 'the wait for a further computer',
  deviceLinkFinish: 'taking a further computer in',
  deviceLinkCancel: 'the end of a link for a further computer',
  deviceRevoke: 'kith device revoke',
  backup: 'a backup',
  snapshots: 'kith snapshots',
  list: 'kith ls',
  restore: 'a restore',
  where: 'kith where',
  status: 'kith status',
  repair: 'kith repair',
  check: 'kith check',
  configGet: 'kith config get',
  configSet: 'kith config set',
};

/** An error's code in a few words, for a log that has no names of files in it. */
const codeWords: Readonly<Record<ErrorCode, string>> = {
  usage: 'something was typed wrong',
  internal: 'a mistake in kith',
  failed: 'it could not be done',
  interrupted: 'it was stopped',
  'vault-missing': 'there is no vault',
  'vault-exists': 'there is a vault already',
  locked: 'another kith is at work',
  'wrong-passphrase': 'wrong passphrase',
  'wrong-phrase': 'these are not your 24 words',
  'unknown-identity': 'nobody knows this identity',
  'not-restorable': 'too few disks and friends can be reached',
  'nobody-reached': 'nobody could be reached',
  'snapshot-unknown': 'there is no such snapshot',
  'path-unknown': 'the snapshot has no such file or folder',
  'source-missing': 'what should be backed up is not there',
  'source-changed': 'a file changed while it was read',
  'source-unreadable': 'a file could not be read',
  'no-holders': 'there is no disk and no friend yet',
  'queue-full': 'too much waits on this computer already',
  pending: 'too few disks and friends took their part: it waits on this computer',
  'holder-unavailable': 'a disk or friend went away',
  'holder-foreign': 'the disk is not one of yours',
  'holder-exists': 'the disk is yours already',
  'holder-unknown': 'there is no such disk',
  'friend-unknown': 'there is no such friend',
  'friend-exists': 'you are friends already',
  'invite-used': 'the invite was used',
  'invite-expired': 'the invite has expired',
  'invite-refused': 'the invite was taken back',
  'peer-unreachable': 'the other computer could not be reached',
  'peer-refused': 'the other computer does not know this one',
  'device-unknown': 'there is no such computer of yours',
  'device-revoked': 'this computer was revoked',
  'not-granted': 'the friend does not allow it',
  'address-taken': 'another program has the address',
  'quota-exceeded': 'the room that was agreed on is used up',
  'disk-full': 'the disk is full',
  'log-forked': 'two copies of one log disagree: something was put back from an old copy',
  'key-record-stale': 'the keys that were offered are older than those that are there',
  'shard-missing': 'a piece is missing',
  'shard-damaged': 'a piece is damaged',
  'blob-missing': 'something that a snapshot needs is missing',
  damaged: 'stored bytes are damaged',
  malformed: 'bytes came that make no sense',
  'too-new': 'a newer kith wrote it',
  'not-authentic': 'a signature does not fit',
  'limit-exceeded': 'it is more than kith takes',
  'io-error': 'the system refused to read or write',
};

function codeIn(text: string): string | undefined {
  return Object.hasOwn(errorCodes, text) ? codeWords[text as ErrorCode] : undefined;
}

function capital(text: string): string {
  return text.startsWith('kith ') ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/** What is written of a command: `friendPing ended`, `backup ended: pending`, `backup ended: complete, 1 file, …`. */
function commandLine(text: string): string | undefined {
  const match = /^([A-Za-z]+) (began|ended|met a mistake in kith)(?:: (.*))?$/s.exec(text);
  const [, method = '', did = '', rest] = match ?? [];
  if (!Object.hasOwn(commandWords, method)) return undefined;
  const words = capital(commandWords[method as Method]);
  if (rest === undefined) return `${words} ${did}`;
  const why = did === 'ended' ? codeIn(rest) : undefined;
  return why === undefined ? `${words} ${did}: ${rest}` : `${words} did not succeed: ${why}`;
}

/** An entry's text for people; programs get it as it was written. */
export function logText({ event, text }: LogEntry): string {
  if (event === 'command' || event === 'mistake') return commandLine(text) ?? text;
  return text.replace(/ \(([a-z]+(?:-[a-z]+)*)\)/g, (all, code: string) => {
    const words = codeIn(code);
    return words === undefined ? all : ` (${words})`;
  });
}
