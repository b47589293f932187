import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { displayText } from '../base/bytes.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { parseRates, type TypedRates } from '../base/rate.ts';
import { KithError, messageOf } from '../base/errors.ts';
import { Answer } from './answer.ts';
import { callHeader, encodeMessage, errorMessage, requestBytesMax, type About } from './messages.ts';
import { checkArguments, isMethod, type ApiCall, type Method } from './methods.ts';
import { closeToOthers } from './socket-path.ts';
import { decodeWire } from './wire-json.ts';

/** Connections and calls at one time: a person has a few terminals, a script some dozens of commands. */
const connectionsMax = 256;
const callsMax = 64;

/** A request has to be there whole within this time; its answer may take days. */
const requestTimeoutMs = 30_000;

export interface ApiServerOptions {
  readonly about: About;
  /** Does a call; its signal fires when the client cancels or is gone, or the server is closed. */
  readonly perform: (call: ApiCall) => Promise<unknown>;
  /** Somebody asked for the end of the daemon. */
  readonly onDown: () => void;
  readonly clock?: Clock;
}

/** Calls of a vault over a unix socket (docs/api.md). Whoever can open the socket may do everything: its mode is 0600. */
export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #calls = new Map<string, AbortController>();
  readonly #running = new Set<Promise<void>>();
  /** Those who wait for the process to be gone. */
  readonly #waiting = new Set<ServerResponse>();
  #closing = false;

  private constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs });
    this.#server.maxConnections = connectionsMax;
    this.#server.on('request', (request, response) => {
      const handled = this.#handle(request, response).finally(() => this.#running.delete(handled));
      this.#running.add(handled);
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('clientError', (_, socket) => socket.destroy());
  }

  /** Listens at a path where nothing is. KithError `io-error`. */
  static async listen(path: string, options: ApiServerOptions): Promise<ApiServer> {
    const api = new ApiServer(options);
    const server = api.#server;
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: Error): void => {
        reject(
          new KithError('io-error', `the daemon can't listen at ${path}: ${messageOf(cause)}`, { cause }),
        );
      };
      server.once('error', failed);
      // The socket is made within listen, and never open to others, not even for a moment.
      const before = process.umask(0o177);
      try {
        server.listen(path, () => {
          server.off('error', failed);
          resolve();
        });
      } finally {
        process.umask(before);
      }
    });
    await closeToOthers(path);
    return api;
  }

  /** Calls that run now. */
  get callCount(): number {
    return this.#calls.size;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A client that is gone is noticed by `close`.
    response.on('error', () => undefined);
    request.on('error', () => undefined);
    response.setHeader('content-type', 'application/x-ndjson');
    const route = `${request.method ?? ''} ${request.url ?? ''}`;
    const [, kind, name = ''] = /^POST \/v1\/(call|cancel)\/([A-Za-z0-9-]{1,64})$/.exec(route) ?? [];
    if (route === 'GET /v1/version') {
      response.end(encodeMessage({ type: 'result', value: this.#options.about }));
    } else if (route === 'POST /v1/down') {
      this.#waiting.add(response);
      response.on('close', () => this.#waiting.delete(response));
      response.flushHeaders();
      this.#options.onDown();
    } else if (kind === 'cancel') {
      const call = this.#calls.get(name);
      call?.abort(interrupted());
      refuseUnless(call !== undefined, response, 404, 'no such call is running');
    } else if (kind === 'call' && isMethod(name)) {
      await this.#call(name, request, response);
    } else {
      const message = kind === 'call' ? `there is no method "${name}"` : 'there is nothing here';
      refuseUnless(false, response, 404, message);
    }
  }

  async #call(method: Method, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = new Answer(response, this.#options.clock ?? systemClock);
    const call = new AbortController();
    const id = randomUUID();
    try {
      if (this.#closing) throw interrupted('the daemon is ending; try again');
      if (this.#calls.size >= callsMax) {
        response.statusCode = 503;
        throw new KithError(
          'limit-exceeded',
          `${callsMax} commands are already at work here; try again later`,
        );
      }
      this.#calls.set(id, call);
      response.on('close', () => call.abort(interrupted()));
      const { args, items, limits } = await readRequest(request, response);
      checkArguments(method, args);
      response.setHeader(callHeader, id);
      response.flushHeaders();
      const value = await this.#options.perform({
        method,
        args,
        limits,
        operation: {
          signal: call.signal,
          onProgress: (progress) => answer.tell({ type: 'progress', ...progress }),
          onProblem: (problem) => answer.tell({ type: 'problem', ...problem }),
          ...(items && { onItem: (item) => answer.tell({ type: 'item', ...item }) }),
        },
        onEntry: (entry) => answer.entry({ type: 'entry', entry }, call.signal),
      });
      answer.result(value ?? null);
    } catch (error) {
      if (!response.headersSent && response.statusCode === 200) response.statusCode = 400;
      answer.error(error);
    } finally {
      this.#calls.delete(id);
    }
  }

  /**
   * Takes no more calls, cancels those that run and waits for them to end; then all connections end, but for those
   * who asked for the end of the daemon: they see it when the process is gone. The socket's name goes with it.
   */
  async close(): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const call of this.#calls.values()) call.abort(interrupted('the daemon is ending'));
    await Promise.all(this.#running);
    const kept = new Set([...this.#waiting].map((response) => response.socket));
    for (const socket of this.#sockets) {
      // Bytes already written still go out.
      if (!kept.has(socket)) socket.destroySoon();
    }
    if (kept.size === 0) await closed;
  }

  /** Lets go of those who wait for the end of the process, where it doesn't end: tests have several daemons in one. */
  release(): void {
    for (const response of this.#waiting) response.end();
  }
}

function interrupted(why = 'interrupted; run the same command again to go on'): KithError {
  return new KithError('interrupted', why);
}

/** Answers with `null`, or with an error and its status. */
function refuseUnless(good: boolean, response: ServerResponse, status: number, message: string): void {
  if (!good) response.statusCode = status;
  response.end(
    encodeMessage(good ? { type: 'result', value: null } : errorMessage(new KithError('malformed', message))),
  );
}

/** The arguments of a call and whether it wants to hear of items. KithError `malformed`, `limit-exceeded`. */
async function readRequest(
  request: IncomingMessage,
  response: ServerResponse,
): Promise<{ readonly args: readonly unknown[]; readonly items: boolean; readonly limits: TypedRates }> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > requestBytesMax) {
      response.statusCode = 413;
      response.setHeader('connection', 'close');
      throw new KithError('limit-exceeded', `a request has at most ${requestBytesMax} bytes`);
    }
    parts.push(part);
  }
  const value = decodeWire(displayText(Buffer.concat(parts)));
  if (value === null || typeof value !== 'object' || !('args' in value) || !Array.isArray(value.args)) {
    throw new KithError('malformed', 'a request is an object with a list "args"');
  }
  return {
    args: value.args as unknown[],
    items: 'items' in value && value.items === true,
    limits: typedRates('limits' in value ? value.limits : undefined),
  };
}

/** Rates as they were typed with the command. KithError `malformed`, or `usage` for one that is none. */
function typedRates(value: unknown): TypedRates {
  if (value === undefined || value === null) return {};
  const { upload, download } = value as Record<string, unknown>;
  for (const rate of [upload, download]) {
    if (rate !== undefined && typeof rate !== 'string')
      throw new KithError('malformed', 'a rate in "limits" is text, such as 2MB');
  }
  const typed = {
    ...(upload !== undefined && { upload }),
    ...(download !== undefined && { download }),
  } as TypedRates;
  parseRates(typed);
  return typed;
}
