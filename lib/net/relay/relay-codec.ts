import { copyBytes } from '../../base/bytes.ts';
import { ByteReader, ByteWriter } from '../../base/codec.ts';

/** Messages of `kith/relay` (docs/formats/wire.md). */

export const relayServiceName = 'kith/relay';

/** Numbers of the kinds, in the order in which both sides name them to Protomux. */
export const relayKind = { dial: 0, incoming: 1, data: 2, credit: 3, end: 4 } as const;

/** Bytes that a side may send on a pipe before it hears that they were taken: what a relay holds of a pipe, each way. */
export const pipeWindowBytes: number = 512 * 1024;

/** Bytes in one message. */
export const pipeMessageBytes: number = 64 * 1024;

/** Pipes of one channel at a time: a device's links to its friends by way of this one, and those that are being tried. */
export const pipeCountMax = 16;

/** Why a pipe ends. A reader takes a number that it doesn't know for 0. */
export const relayEnd = {
  /** One of the two ended it. */
  closed: 0,
  /** The device isn't there, or doesn't want to be reached this way: which of them isn't said. */
  notHere: 1,
  /** The bytes that the relay gives one of the two for a day are used up. */
  budgetUsed: 2,
  /** Too many pipes, or dials, at a time. */
  busy: 3,
  /** The relay is ending, or no longer relays for one of the two. */
  stopped: 4,
} as const;

const deviceBytes = 32;

export interface RelayDial {
  /** Odd, and higher than all before. */
  readonly pipe: number;
  /** Key of the device that is to be reached; 32 bytes. */
  readonly device: Uint8Array;
}

export interface RelayData {
  readonly pipe: number;
  /** A view into the message. */
  readonly bytes: Uint8Array;
}

export interface RelayCredit {
  readonly pipe: number;
  readonly bytes: number;
}

export interface RelayEnd {
  readonly pipe: number;
  readonly reason: number;
}

function readPipe(reader: ByteReader): number {
  const pipe = reader.varint();
  if (pipe === 0) throw reader.fail('pipes count from 1');
  return pipe;
}

export function encodeRelayDial({ pipe, device }: RelayDial): Uint8Array {
  if (device.length !== deviceBytes) throw new RangeError(`a device key of ${device.length} bytes`);
  return new ByteWriter().varint(pipe).bytes(device).finish();
}

/** The device is a copy. */
export function decodeRelayDial(bytes: Uint8Array): RelayDial {
  const reader = new ByteReader(bytes, 'dial');
  const pipe = readPipe(reader);
  if (pipe % 2 === 0) throw reader.fail('a pipe that is dialled has an odd number');
  const device = copyBytes(reader.bytes(deviceBytes));
  reader.end();
  return { pipe, device };
}

export function encodeRelayIncoming(pipe: number): Uint8Array {
  return new ByteWriter().varint(pipe).finish();
}

export function decodeRelayIncoming(bytes: Uint8Array): number {
  const reader = new ByteReader(bytes, 'incoming');
  const pipe = readPipe(reader);
  if (pipe % 2 === 1) throw reader.fail('a pipe that comes in has an even number');
  reader.end();
  return pipe;
}

/** What stands before the bytes of a data message. */
export function encodeRelayDataHead(pipe: number): Uint8Array {
  return new ByteWriter().varint(pipe).finish();
}

export function encodeRelayData({ pipe, bytes }: RelayData): Uint8Array {
  return new ByteWriter().varint(pipe).bytes(bytes).finish();
}

export function decodeRelayData(bytes: Uint8Array): RelayData {
  const reader = new ByteReader(bytes, 'data');
  const pipe = readPipe(reader);
  const { remaining } = reader;
  if (remaining === 0 || remaining > pipeMessageBytes) throw reader.fail(`${remaining} bytes`);
  return { pipe, bytes: reader.bytes(remaining) };
}

export function encodeRelayCredit({ pipe, bytes }: RelayCredit): Uint8Array {
  return new ByteWriter().varint(pipe).varint(bytes).finish();
}

export function decodeRelayCredit(message: Uint8Array): RelayCredit {
  const reader = new ByteReader(message, 'credit');
  const credit = { pipe: readPipe(reader), bytes: reader.varint(pipeWindowBytes) };
  if (credit.bytes === 0) throw reader.fail('for no bytes');
  reader.end();
  return credit;
}

export function encodeRelayEnd({ pipe, reason }: RelayEnd): Uint8Array {
  return new ByteWriter().varint(pipe).u8(reason).finish();
}

export function decodeRelayEnd(bytes: Uint8Array): RelayEnd {
  const reader = new ByteReader(bytes, 'end');
  const end = { pipe: readPipe(reader), reason: reader.u8() };
  reader.end();
  return end;
}
