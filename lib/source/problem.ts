import type { ErrorCode } from '../base/errors.ts';
import { KithError, messageOf, systemCode } from '../base/errors.ts';

/** Something that went wrong with one path without ending the work. `item` is a path for people. */
export interface SourceProblem {
  readonly item: string;
  readonly message: string;
  readonly code: ErrorCode;
}

/** Where walking and restoring report what they had to leave out. */
export type OnProblem = (problem: SourceProblem) => void;

const words: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOENT: 'it is no longer there',
  ENOTDIR: 'it is no longer a folder',
  ELOOP: 'it has become a symlink',
  EIO: 'the disk reports a read or write error',
  ENXIO: 'nothing answers at its other end',
  ENODEV: 'its device is gone',
  ESTALE: 'its server lost track of it',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EROFS: 'the file system is read-only',
  ENAMETOOLONG: 'its name or path is too long for this file system',
  EILSEQ: 'this file system does not take its name',
  ENOTEMPTY: 'a folder with something in it is in the way',
  EEXIST: 'something else was put there meanwhile',
  EFBIG: 'it is larger than this file system allows',
};

/** Why something failed, as the second half of a sentence. */
export function reasonOf(error: unknown): string {
  const code = systemCode(error);
  return (code === undefined ? undefined : words[code]) ?? messageOf(error);
}

/** The code that a failed system call is reported under. */
export function problemCode(error: unknown): ErrorCode {
  if (error instanceof KithError) return error.code;
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'io-error';
}
