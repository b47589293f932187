import type { ServerResponse } from 'node:http';
import type { Clock } from '../base/clock.ts';
import { encodeMessage, errorMessage, type Message } from './messages.ts';

/** Progress goes out at most so often: twice as often as a terminal draws it. */
const progressEveryMs = 50;

/** Bytes that wait for a client that doesn't read, beyond which items, and then problems, are dropped and counted. */
const itemBacklogBytes: number = 1024 * 1024;
const problemBacklogBytes: number = 8 * 1024 * 1024;

/**
 * The lines of one answer. Writing never fails and never waits but for entries: a client that is slow misses progress and in
 * the end items, the operation doesn't slow down for it; what a client that is gone would have been told goes nowhere.
 */
export class Answer {
  readonly #response: ServerResponse;
  readonly #clock: Clock;
  #progressMs: number | undefined;
  #dropped = 0;

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response;
    this.#clock = clock;
  }

  #write(message: Message): boolean {
    const { destroyed, writableEnded } = this.#response;
    if (destroyed || writableEnded) return true;
    let line: string;
    try {
      line = encodeMessage(message);
    } catch {
      // What can't be told is no reason to end what it was told of.
      return true;
    }
    return this.#response.write(line);
  }

  /** Progress, problems and items. */
  tell(message: Message): void {
    const backlog = this.#response.writableLength;
    if (message.type === 'progress') {
      const nowMs = this.#clock.monotonicMs();
      const soon = this.#progressMs !== undefined && nowMs - this.#progressMs < progressEveryMs;
      if (soon || this.#response.writableNeedDrain) return;
      this.#progressMs = nowMs;
    } else if (backlog > (message.type === 'item' ? itemBacklogBytes : problemBacklogBytes)) {
      this.#dropped++;
      return;
    }
    this.#write(message);
  }

  /** Writes an entry and waits until the client takes more, or is gone, or the signal fires. */
  async entry(message: Message, signal: AbortSignal): Promise<void> {
    if (this.#write(message) || signal.aborted) return;
    const response = this.#response;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off('drain', done);
        response.off('close', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      response.on('drain', done);
      response.on('close', done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  result(value: unknown): void {
    if (this.#dropped > 0) {
      const message = `${this.#dropped} messages were left out, since nobody read them`;
      this.#write({ type: 'problem', item: 'kith', message, code: 'limit-exceeded' });
    }
    let line: string;
    try {
      line = encodeMessage({ type: 'result', value });
    } catch (error) {
      this.error(error);
      return;
    }
    this.#response.end(line);
  }

  error(error: unknown): void {
    const message = errorMessage(error);
    let line: string;
    try {
      line = encodeMessage(message);
    } catch {
      line = encodeMessage({ ...message, details: {} });
    }
    this.#response.end(line);
  }
}
