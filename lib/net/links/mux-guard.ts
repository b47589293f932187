import { KithError } from '../../base/errors.ts';
import { MessageBudget, messagesPerSecondMax } from './message-budget.ts';
import type { SecretStream } from './secret-stream.d.ts';

/** Bytes of one message, head included. */
export const messageBytesMax: number = 1024 * 1024;

/** Channels that the other side may open in a session: a few services, and their grants taken back and given again. */
export const remoteOpensMax = 1024;

/** A number as Protomux writes it (compact-encoding's uint), and where the next field begins; undefined if cut short. */
function readUint(bytes: Uint8Array, at: number): { value: number; next: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first <= 0xfc) return { value: first, next: at + 1 };
  const size = first === 0xfd ? 2 : first === 0xfe ? 4 : 8;
  if (at + 1 + size > bytes.length) return undefined;
  let value = 0;
  for (let i = size; i >= 1; i--) value = value * 256 + (bytes[at + i] ?? 0);
  return { value, next: at + 1 + size };
}

/** Protomux's control messages: channel 0, then the kind. */
const controlChannel = 0;
const batchKind = 0;
const openKind = 1;

/**
 * Looks at each message before Protomux does, which sets no limit of its own: on size, on batches (nested without
 * end), on channels opened, on how many come a second (docs/formats/wire.md). Throws KithError `malformed` at what isn't allowed.
 */
export class MuxGuard {
  readonly #budget: MessageBudget;
  #opens = 0;
  #over = false;

  /** `nowMs` is monotonic. */
  constructor(nowMs: () => number) {
    this.#budget = new MessageBudget(nowMs);
  }

  /** True once nothing more is to be handed on. */
  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
  }

  check(message: Uint8Array): void {
    if (!this.#budget.take()) throw broken(`more than ${messagesPerSecondMax} messages a second`);
    if (message.length > messageBytesMax) throw broken(`a message of ${message.length} bytes`);
    const channel = readUint(message, 0);
    if (channel === undefined) throw broken('a message without a channel');
    if (channel.value !== controlChannel) return;
    const kind = readUint(message, channel.next);
    if (kind === undefined) throw broken('a control message without a kind');
    if (kind.value === batchKind) throw broken('a batch');
    if (kind.value === openKind && ++this.#opens > remoteOpensMax) throw broken('too many channels opened');
  }
}

function broken(what: string): KithError {
  return new KithError('malformed', `the other side sent ${what}`);
}

/**
 * A stream for Protomux that hands it only what the guard lets pass. Once that has thrown, `onBroken` is told and
 * nothing more is handed on; nor is it after its end, though what was written before may still go out.
 */
export function guardedStream(
  stream: SecretStream,
  guard: MuxGuard,
  onBroken: (error: unknown) => void,
): object {
  const guarded = {
    userData: null,
    get destroyed(): boolean {
      return stream.destroyed;
    },
    alloc: (bytes: number): Uint8Array => stream.alloc(bytes),
    write: (message: Uint8Array): boolean => stream.write(message),
    pause: (): unknown => stream.pause(),
    resume: (): unknown => stream.resume(),
    end: (): unknown => stream.end(),
    destroy: (error?: Error): unknown => stream.destroy(error),
    emit: (): boolean => false,
    on(event: string, listener: (...values: never[]) => void): unknown {
      if (event !== 'data') return stream.on(event, listener as (...values: unknown[]) => void);
      const take = listener as (message: Uint8Array) => void;
      return stream.on('data', (message: Uint8Array) => {
        if (guard.over || message.length === 0) return;
        try {
          guard.check(message);
        } catch (error) {
          guard.end();
          onBroken(error);
          return;
        }
        take(message);
      });
    },
  };
  return guarded;
}
