import { bulkMessageBytes } from '../service.ts';

/**
 * How fast the bulk of one session's calls may go, each way: what calls ask before they send bytes, and before they give credit for them.
 * Where nothing is limited, `send` and `receive` say so at once, and nothing is kept in time.
 */
export interface CallFlow {
  /** Bytes to send in one message now; they are asked for before it waits for the stream. */
  readonly sendBytesMax: number;
  /** Bytes to give credit for at once now; Infinity for all of them. */
  readonly receiveBytesMax: number;
  /** Undefined if so many bytes may go at once, else resolves when they may; or when they are no longer wanted, and then they don't count. */
  send(bytes: number, isWanted: () => boolean): Promise<void> | undefined;
  /** The same for credit. */
  receive(bytes: number, isWanted: () => boolean): Promise<void> | undefined;
  /** Counts bytes that are sent without waiting: answers. */
  sent(bytes: number): void;
}

/** No limit, and nothing counted. */
export const freeFlow: CallFlow = {
  sendBytesMax: bulkMessageBytes,
  receiveBytesMax: Number.POSITIVE_INFINITY,
  send: () => undefined,
  receive: () => undefined,
  sent: () => undefined,
};
