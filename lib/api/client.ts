import { request as httpRequest, type IncomingMessage } from 'node:http';
import { KithError, isKithError, messageOf, systemCode } from '../base/errors.ts';
import type { TypedRates } from '../base/rate.ts';
import { apiNumber, callHeader, decodeMessage, errorOf, type About, type Message } from './messages.ts';
import { encodeWire } from './wire-json.ts';
import { findSocket } from './socket-path.ts';
import type { Method } from './methods.ts';
import type { Operation } from '../vault/types.ts';

/** Characters of one line at most: the whereabouts of a million shards. */
const lineLengthMax: number = 256 * 1024 * 1024;

/** What comes with an error on a socket where nobody listens (any more). */
const nobodyCodes: readonly string[] = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR'];

/** Speaks to a daemon over its socket, a connection for each call. */
export class ApiClient {
  readonly #path: string;
  /** Rates that hold while a call of this client is at work. */
  limits: TypedRates = {};

  constructor(path: string) {
    this.#path = path;
  }

  /** Whom this is. KithError `failed` if the daemon is of another version. */
  async about(): Promise<About> {
    const value = await this.#ask('GET', '/v1/version', undefined);
    const about = value as Partial<About> | null;
    if (
      about !== null &&
      typeof about === 'object' &&
      typeof about.version === 'string' &&
      typeof about.pid === 'number' &&
      typeof about.id === 'string' &&
      typeof about.name === 'string' &&
      typeof about.api === 'number'
    ) {
      return about as About;
    }
    throw new KithError('failed', `what listens at ${this.#path} is not a kith daemon`);
  }

  /** Asks the daemon to end, and resolves when its process is gone. KithError `failed` where nobody listens. */
  async down(): Promise<void> {
    const answer = await this.#request('POST', '/v1/down', undefined);
    answer.on('error', () => undefined);
    answer.resume();
    await new Promise<void>((resolve) => answer.on('close', () => resolve()));
  }

  /**
   * Calls a method. When the operation's signal fires, the daemon is asked to cancel, and the call ends when the operation has.
   * Throws what the operation threw.
   */
  async call(method: Method, args: readonly unknown[], operation: Operation = {}): Promise<unknown> {
    for await (const message of this.#messages(method, args, operation)) {
      switch (message.type) {
        case 'progress': {
          const { type: _, ...progress } = message;
          operation.onProgress?.({
            ...progress,
            filesTotal: progress.filesTotal,
            bytesTotal: progress.bytesTotal,
          });
          break;
        }
        case 'problem':
          operation.onProblem?.({ item: message.item, message: message.message, code: message.code });
          break;
        case 'item':
          operation.onItem?.({ action: message.action, path: message.path, bytes: message.bytes });
          break;
        case 'result':
          return message.value;
        default:
      }
    }
    throw gone();
  }

  /** Calls a method that answers with entries. Leaving the loop ends the call. */
  async *entries(
    method: Method,
    args: readonly unknown[],
    operation: Operation = {},
  ): AsyncGenerator<Extract<Message, { type: 'entry' }>['entry'], void, undefined> {
    for await (const message of this.#messages(method, args, operation)) {
      if (message.type === 'entry') yield message.entry;
      else if (message.type === 'problem') operation.onProblem?.(message);
      else if (message.type === 'result') return;
    }
    throw gone();
  }

  /** The messages of a call, the last one a result; an error is thrown. */
  async *#messages(
    method: Method,
    args: readonly unknown[],
    operation: Operation,
  ): AsyncGenerator<Message, void, undefined> {
    const { signal } = operation;
    const body = encodeWire({ args, items: operation.onItem !== undefined, limits: this.limits });
    const answer = await this.#request('POST', `/v1/call/${method}`, body);
    const id = answer.headers[callHeader];
    const cancel = (): void => {
      // Where this fails the call has ended, or the daemon has: the answer's end tells.
      if (typeof id === 'string') this.#ask('POST', `/v1/cancel/${id}`, undefined).catch(() => undefined);
    };
    if (signal?.aborted === true) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      for await (const line of linesOf(answer)) {
        const message = decodeMessage(line);
        if (message.type === 'error') throw errorOf(message);
        yield message;
      }
    } finally {
      signal?.removeEventListener('abort', cancel);
      answer.destroy();
    }
  }

  /** A request whose answer is one message. */
  async #ask(verb: 'GET' | 'POST', path: string, body: string | undefined): Promise<unknown> {
    const answer = await this.#request(verb, path, body);
    for await (const line of linesOf(answer)) {
      const message = decodeMessage(line);
      if (message.type === 'error') throw errorOf(message);
      if (message.type === 'result') return message.value;
    }
    throw gone();
  }

  #request(verb: 'GET' | 'POST', path: string, body: string | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = httpRequest({ socketPath: this.#path, method: verb, path, agent: false }, (answer) => {
        // What comes after the head is told by the answer itself.
        request.on('error', () => undefined);
        resolve(answer);
      });
      request.on('error', (cause) => {
        const nobody = nobodyCodes.includes(systemCode(cause) ?? '');
        reject(nobody ? new NobodyListens(cause) : gone(cause));
      });
      request.end(body);
    });
  }
}

/** Why a request could not be made: no daemon is there. */
class NobodyListens extends KithError {
  constructor(cause: unknown) {
    super('failed', 'no kith daemon is running in this home. Start one with: kith up', { cause });
  }
}

function gone(cause?: unknown): KithError {
  const words =
    'the kith daemon ended in the middle of this. Start it again with `kith up`, or run the same command again';
  return new KithError('failed', words, cause === undefined ? {} : { cause });
}

/** Lines of an answer, as they come. KithError `failed` if the connection breaks off, `limit-exceeded`. */
async function* linesOf(answer: IncomingMessage): AsyncGenerator<string, void, undefined> {
  answer.setEncoding('utf8');
  let parts: string[] = [];
  let length = 0;
  try {
    for await (const text of answer as AsyncIterable<string>) {
      const lines = text.split('\n');
      const rest = lines.pop() ?? '';
      for (const line of lines) {
        parts.push(line);
        yield parts.join('');
        parts = [];
        length = 0;
      }
      parts.push(rest);
      length += rest.length;
      if (length > lineLengthMax) throw new KithError('limit-exceeded', 'the daemon sent too long a line');
    }
  } catch (error) {
    throw isKithError(error) ? error : gone(error);
  }
}

/**
 * The daemon that runs in a home, or undefined where none does (a socket that a dead one left is nobody's). `version` is this
 * program's: KithError `failed` if the daemon's is another. KithError `io-error` where the socket is somebody else's.
 */
export async function connectDaemon(
  home: string,
  version: string | undefined,
): Promise<{ readonly client: ApiClient; readonly about: About } | undefined> {
  const path = await findSocket(home);
  if (path === undefined) return undefined;
  const client = new ApiClient(path);
  let about: About;
  try {
    about = await client.about();
  } catch (error) {
    if (error instanceof NobodyListens) return undefined;
    if (systemCode(isKithError(error) ? error.cause : error) === 'EACCES') {
      throw new KithError('io-error', `the daemon in ${home} is another user's: ${messageOf(error)}`, {
        cause: error,
      });
    }
    throw error;
  }
  if (version !== undefined && (about.version !== version || about.api !== apiNumber)) {
    throw new KithError(
      'failed',
      `the daemon in this home runs kith ${about.version}, this is kith ${version}. Run: kith down, then kith up`,
      { details: { daemon: about.version, command: version, pid: about.pid } },
    );
  }
  return { client, about };
}
