import { KithError, isKithError, messageOf } from '../lib/base/errors.ts';
import { shown, shownLines } from './words.ts';
import type { Problem } from '../lib/vault/types.ts';

/** The part of a stream that output needs. */
export interface Sink {
  write(text: string): boolean;
  once(event: 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly stdout: Sink;
  readonly stderr: Sink;
}

/** Something drawn on the terminal that must go before a line is printed. */
export interface LiveLine {
  clear(): void;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Everything that the command line says. Results go to stdout, warnings and errors to stderr; in JSON mode both carry
 * one JSON value a line and nothing else. A reader that closes its end (`kith ls … | head`) is no error: what comes
 * after is dropped, so that a backup whose reader is gone goes on.
 */
export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  #live: LiveLine | undefined;
  #closed = false;
  #drained: Promise<void> | undefined;
  #resume: (() => void) | undefined;

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.quiet = options.quiet;
    this.verbose = options.verbose;
    this.#stdout = options.stdout;
    this.#stderr = options.stderr;
    this.#stdout.on('error', () => {
      this.#closed = true;
      this.#goOn();
    });
    this.#stderr.on('error', () => {});
  }

  /** True once nobody reads stdout any more. */
  get closed(): boolean {
    return this.#closed;
  }

  set live(live: LiveLine | undefined) {
    this.#live = live;
  }

  #out(text: string): void {
    this.#live?.clear();
    if (this.#closed || this.#stdout.write(text) || this.#resume !== undefined) return;
    this.#drained = new Promise((resolve) => {
      this.#resume = resolve;
    });
    this.#stdout.once('drain', () => {
      this.#goOn();
    });
  }

  #goOn(): void {
    this.#resume?.();
    this.#resume = undefined;
    this.#drained = undefined;
  }

  #err(text: string): void {
    this.#live?.clear();
    this.#stderr.write(text);
  }

  /** Resolves when stdout takes more: to be awaited in loops that print without end. */
  async drained(): Promise<void> {
    await this.#drained;
  }

  /** Results for people; nothing in JSON mode. Names in it must have gone through `shown`. */
  print(...lines: readonly string[]): void {
    if (!this.json) for (const line of lines) this.#out(`${line}\n`);
  }

  /** Like print, but not with --quiet: what is pleasant to know. */
  say(...lines: readonly string[]): void {
    if (!this.quiet) this.print(...lines);
  }

  /** A word beside the result, on stderr; nothing in JSON mode or with --quiet. */
  note(line: string): void {
    if (!this.json && !this.quiet) this.#err(`${line}\n`);
  }

  /** The one document of a command that doesn't stream; nothing in human mode. */
  document(value: unknown): void {
    if (this.json) this.#out(`${JSON.stringify(value)}\n`);
  }

  /** A piece of a document that is too big for one string; nothing in human mode. */
  documentPart(text: string): void {
    if (this.json) this.#out(text);
  }

  /** One object of a streaming command; nothing in human mode. */
  event(messageType: string, fields: Fields): void {
    if (this.json) this.#out(`${JSON.stringify({ message_type: messageType, ...fields })}\n`);
  }

  /** Something that went wrong without ending the command. */
  readonly problem = (problem: Problem): void => {
    if (this.json) {
      const { item, message, code } = problem;
      this.#err(`${JSON.stringify({ message_type: 'error', item, message, code })}\n`);
    } else {
      this.#err(`kith: ${shown(problem.item)}: ${shown(problem.message)}\n`);
    }
  };

  /** Why the exit status isn't 0. */
  exitError(exit: number, message: string, more: Fields = {}): void {
    if (this.json) {
      this.#err(`${JSON.stringify({ message_type: 'exit_error', code: exit, message, ...more })}\n`);
    } else {
      this.#err(`kith: ${shownLines(message)}\n`);
    }
  }

  /** Reports an error that ended the command of that name, if it came to one; returns its exit status. */
  failure(thrown: unknown, interrupted: boolean, command?: string): number {
    const error = asKithError(thrown, interrupted);
    const details = Object.keys(error.details).length === 0 ? {} : { details: error.details };
    this.exitError(error.exitCode, error.message, { error: error.code, ...details });
    // Of a file that is wrong the help says nothing.
    if (!this.json && error.code === 'usage' && error.details['file'] === undefined) {
      const named = error.details['command'] ?? command;
      this.#err(`Run "kith ${typeof named === 'string' ? `${named} ` : ''}--help" to see how it is used.\n`);
    }
    if (!this.json && this.verbose && thrown instanceof Error && thrown.stack !== undefined) {
      this.#err(`${shownLines(thrown.stack)}\n`);
    }
    return error.exitCode;
  }
}

function asKithError(thrown: unknown, interrupted: boolean): KithError {
  if (interrupted && !isKithError(thrown)) {
    return new KithError('interrupted', 'interrupted; run the same command again to go on', {
      cause: thrown,
    });
  }
  if (thrown instanceof KithError) return thrown;
  return new KithError('internal', messageOf(thrown), { cause: thrown });
}
