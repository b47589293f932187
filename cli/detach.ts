import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { KithError, errorCodes, type ErrorCode, type ErrorDetails } from '../lib/base/errors.ts';

/** What a daemon tells whoever started it in the background, over the channel between the two processes. */
export type StartMessage =
  | {
      readonly type: 'ready';
      readonly listen: string | null;
      readonly addresses: readonly string[];
      readonly id: string;
    }
  | {
      readonly type: 'failed';
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: ErrorDetails;
    };

/** Set for the process in the background, so that it knows that somebody waits for its word. */
const detachedVariable = 'KITH_DETACHED';

/** Tells the process that started this one, once; undefined where this one was started by hand. */
export function startTeller(): ((message: StartMessage) => Promise<void>) | undefined {
  const isDetached = process.env[detachedVariable] === '1';
  delete process.env[detachedVariable];
  if (!isDetached || process.send === undefined) return undefined;
  return async (message) => {
    // Whoever is gone needs no word.
    if (!process.connected) return;
    await new Promise<void>((resolve) => process.send?.(message, () => resolve()));
    process.disconnect();
  };
}

/** Where what the process prints by itself as it dies goes: the home's log; nowhere before there is a home. */
function openLogFile(home: string): number | 'ignore' {
  return existsSync(join(home, 'keystore')) ? openSync(join(home, 'daemon.log'), 'a', 0o600) : 'ignore';
}

function isStartMessage(message: unknown): message is StartMessage {
  if (message === null || typeof message !== 'object' || !('type' in message)) return false;
  return message.type === 'ready' || message.type === 'failed';
}

/**
 * Starts this very command line once more in the background, without `--detach`, and waits until it is ready. Throws the error that it
 * ended with; when the signal fires it is ended.
 */
export async function startDetached(
  home: string,
  signal: AbortSignal,
): Promise<Extract<StartMessage, { type: 'ready' }>> {
  const words = process.argv.slice(1).filter((word) => !/^--detach(=.*)?$/.test(word));
  const log = openLogFile(home);
  const child = spawn(process.execPath, [...process.execArgv, ...words], {
    detached: true,
    stdio: ['ignore', 'ignore', log, 'ipc'],
    env: { ...process.env, [detachedVariable]: '1' },
  });
  if (log !== 'ignore') closeSync(log);
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  try {
    const said = await new Promise<StartMessage>((resolve, reject) => {
      child.on('message', (message) => {
        if (isStartMessage(message)) resolve(message);
      });
      child.on('error', reject);
      child.on('exit', (code, by) => {
        const how = code === null ? `killed by ${by ?? 'a signal'}` : `exit status ${code}`;
        reject(new KithError('failed', `the daemon did not come up (${how}). See: kith log`));
      });
    });
    signal.throwIfAborted();
    if (said.type === 'ready') return said;
    const code = Object.hasOwn(errorCodes, said.code) ? said.code : 'internal';
    throw new KithError(code, said.message, { details: said.details });
  } finally {
    signal.removeEventListener('abort', stop);
    if (child.connected) child.disconnect();
    child.unref();
  }
}
