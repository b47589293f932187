import { KithError, messageOf, systemCode } from '../base/errors.ts';

const fullCodes: readonly string[] = ['ENOSPC', 'EDQUOT', 'EFBIG'];

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: "the user's quota on the disk is used up",
  EFBIG: 'the file system takes no file of that size',
  EIO: 'the disk reports an error',
  EROFS: 'the disk is read-only',
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  ENOENT: 'no such file or folder',
  ELOOP: 'it is a symbolic link',
  EMFILE: 'too many open files',
};

/** The KithError (`disk-full` or `io-error`) for a system error met at a path; a KithError is passed through. */
export function diskError(error: unknown, doing: string, path: string): KithError {
  if (error instanceof KithError) return error;
  const system = systemCode(error) ?? 'unknown';
  const why = reasons[system] ?? messageOf(error);
  return new KithError(fullCodes.includes(system) ? 'disk-full' : 'io-error', `${doing} ${path}: ${why}`, {
    details: { path, system },
    cause: error,
  });
}

/** True for the system's way of saying that there is nothing at a path. */
export function isAbsent(error: unknown): boolean {
  const system = systemCode(error);
  return system === 'ENOENT' || system === 'ENOTDIR';
}
