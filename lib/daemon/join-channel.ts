import { once } from 'node:events';
import { concatBytes } from '../base/bytes.ts';
import { KithError } from '../base/errors.ts';
import { joinHelloBytesMax, joinWelcomeBytesMax } from '../format/join-messages.ts';
import { keyRecordBytesMax } from '../format/key-record.ts';
import { segmentBytesMax } from '../format/segment.ts';
import type { Link } from '../net/links/link.ts';

/** Kinds of items (docs/formats/device-link.md). */
export const joinKinds = {
  hello: 1,
  welcome: 2,
  keyRecord: 3,
  segment: 4,
  end: 5,
  done: 6,
  refused: 7,
} as const;

const bytesMaxOf: ReadonlyMap<number, number> = new Map<number, number>([
  [joinKinds.hello, joinHelloBytesMax],
  [joinKinds.welcome, joinWelcomeBytesMax],
  [joinKinds.keyRecord, keyRecordBytesMax],
  [joinKinds.segment, segmentBytesMax],
  [joinKinds.end, 0],
  [joinKinds.done, 0],
  [joinKinds.refused, 1024],
]);

/** Bytes of one message; an item is as many as it takes. */
const pieceBytes: number = 256 * 1024;

/** What came of one kind. */
export interface JoinItem {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

/** Items over one link, one after the other. The other side isn't trusted: an item is no longer than its kind may be. */
export class JoinChannel {
  readonly #link: Link;
  readonly #messages: AsyncIterator<Uint8Array>;

  constructor(link: Link) {
    this.#link = link;
    this.#messages = (link.stream as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
  }

  /** Resolves when the stream has taken it. KithError `peer-unreachable` if the link has ended. */
  async send(kind: number, bytes: Uint8Array = new Uint8Array(0)): Promise<void> {
    const { stream } = this.#link;
    for (let at = 0; at === 0 || at < bytes.length; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      const isLast = at + pieceBytes >= bytes.length;
      if (stream.destroyed) throw ended();
      const goesOn = stream.write(concatBytes(new Uint8Array([kind, isLast ? 1 : 0]), piece));
      if (!goesOn) await Promise.race([once(stream, 'drain').catch(() => undefined), this.#link.closed]);
    }
  }

  /** The next item, which must be of one of these kinds. KithError `malformed`, `peer-unreachable`, `peer-refused`. */
  async receive(...kinds: readonly number[]): Promise<JoinItem> {
    const parts: Uint8Array[] = [];
    let kind: number | undefined;
    let length = 0;
    for (;;) {
      const message = await this.#next();
      const [ofKind = 0, last = 0] = message;
      kind ??= ofKind;
      length += message.length - 2;
      const isSound = message.length >= 2 && last <= 1 && ofKind === kind;
      if (!isSound || length > (bytesMaxOf.get(kind) ?? -1)) throw senseless();
      // An empty piece that isn't the last would never end.
      if (message.length === 2 && last === 0) throw senseless();
      parts.push(message.subarray(2));
      if (last === 1) break;
    }
    if (kind === joinKinds.refused) {
      throw new KithError('peer-refused', 'the other computer did not take this one in');
    }
    if (!kinds.includes(kind)) throw senseless();
    return { kind, bytes: concatBytes(...parts) };
  }

  async #next(): Promise<Uint8Array> {
    const next = await this.#messages.next().catch(() => undefined);
    if (next === undefined || next.done === true) throw ended();
    return next.value;
  }
}

function ended(): KithError {
  return new KithError(
    'peer-unreachable',
    'the other computer ended the connection; make a new link and try again',
  );
}

function senseless(): KithError {
  return new KithError('malformed', 'the other computer says what makes no sense here');
}
