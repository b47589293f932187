import { textOf, utf8 } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { nameTextBytesMax } from './fields.ts';

/** The file that makes a folder a kith drive (docs/formats/store.md). */
export const driveMarkerFile = 'kith-drive.json';

const magic = 'kith-drive';
const version = 1;

/** Bytes of the marker file. */
export const driveMarkerBytesMax = 4096;

/** Which holder a folder is, and for whom. Not signed: it tells disks apart, the shards prove themselves. */
export interface DriveMarker {
  /** The holder id: 64 lower-case hex digits, random. */
  readonly id: string;
  /** The vault id: 64 lower-case hex digits. */
  readonly vault: string;
  /** At most 255 bytes, no control characters. */
  readonly name: string;
  /** RFC 3339 in UTC. */
  readonly created: string;
}

const hexId = /^[0-9a-f]{64}$/;
const timestamp = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?Z$/;
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const controlCharacter = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

function problemOf(marker: DriveMarker): string | undefined {
  if (!hexId.test(marker.id)) return 'the id is not 64 hex digits';
  if (!hexId.test(marker.vault)) return 'the vault is not 64 hex digits';
  const nameBytes = utf8(marker.name).length;
  if (nameBytes === 0 || nameBytes > nameTextBytesMax) return `the name has ${nameBytes} bytes`;
  if (controlCharacter.test(marker.name)) return 'the name has control characters';
  if (!timestamp.test(marker.created) || Number.isNaN(Date.parse(marker.created))) return 'the time is none';
  return undefined;
}

/** The file's bytes: JSON for people to read too. KithError `malformed` for a marker that could not be read again. */
export function encodeDriveMarker(marker: DriveMarker): Uint8Array {
  const problem = problemOf(marker);
  if (problem !== undefined) throw new KithError('malformed', `drive marker: ${problem}`);
  const { id, vault, name, created } = marker;
  return utf8(`${JSON.stringify({ magic, version, id, vault, name, created }, null, 2)}\n`);
}

/** KithError `malformed` or `too-new`. Fields that this kith doesn't know are left aside. */
export function decodeDriveMarker(bytes: Uint8Array): DriveMarker {
  const fail = (why: string): KithError => new KithError('malformed', `drive marker: ${why}`);
  if (bytes.length > driveMarkerBytesMax) throw fail(`${bytes.length} bytes are too long`);
  const text = textOf(bytes);
  if (text === undefined) throw fail('not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new KithError('malformed', 'drive marker: not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('not an object');
  const fields = new Map<string, unknown>(Object.entries(value));
  if (fields.get('magic') !== magic) throw fail(`the mark ${magic} expected`);
  const found = fields.get('version');
  if (typeof found !== 'number' || !Number.isInteger(found) || found < 1) throw fail('no version');
  if (found > version) throw new KithError('too-new', 'the drive was set up by a newer kith. Update kith.');
  const textField = (name: string): string => {
    const field = fields.get(name);
    if (typeof field !== 'string') throw fail(`no ${name}`);
    return field;
  };
  const marker = {
    id: textField('id'),
    vault: textField('vault'),
    name: textField('name'),
    created: textField('created'),
  };
  const problem = problemOf(marker);
  if (problem !== undefined) throw fail(problem);
  return marker;
}

const readmeStart = `What is this?

This folder belongs to somebody's backup, made with kith.`;

/** True for the bytes of a README.txt that driveReadme may have written, for any drive. */
export function isDriveReadme(bytes: Uint8Array): boolean {
  return textOf(bytes)?.startsWith(readmeStart) === true;
}

/** The text of README.txt on a drive, for whoever finds it. */
export function driveReadme(marker: DriveMarker): string {
  return `${readmeStart} It is the drive that
its owner calls "${marker.name}", set up on ${marker.created.slice(0, 10)}.

It holds pieces of files, together with pieces on other drives or at friends.
They are sealed: without the owner's phrase of 24 words nobody can read them.

Please leave the files as they are: renaming or editing any of them damages the
backup. If you found this disk, its owner would be glad to have it back.

If it is yours and your computer is gone

1. Install kith on any machine with Node.js 20.19 or newer.
2. Write your 24 words into a text file.
3. Attach as many of your drives as you can find, and run

     kith recover --phrase-file FILE --drive PATH

   with FILE the text file and PATH this folder; give --drive once more for each
   other drive. Then "kith snapshots" lists what there is, and
   "kith restore latest --target FOLDER" brings it back.
4. Delete the text file.

Vault ${marker.vault}
Drive ${marker.id}
`;
}
