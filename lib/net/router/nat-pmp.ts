import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { ByteReader, ByteWriter } from '../../base/codec.ts';
import { isKithError, KithError } from '../../base/errors.ts';

/** NAT-PMP (RFC 6886), all integers big-endian: what a router is asked for an open port. */

export const natPmpPort = 5351;

/** How long an answer is waited for, then the question is sent once more: the RFC doubles from here. */
const firstWaitMs = 250;
const triesMax = 4;

/** What a router passes on. */
export interface Mapping {
  readonly protocol: 'tcp' | 'udp';
  readonly internalPort: number;
  readonly externalPort: number;
  /** Seconds. */
  readonly lifetime: number;
}

const opcodes = { address: 0, udp: 1, tcp: 2 } as const;

function swap16(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

function u32(reader: ByteReader): number {
  const bytes = reader.bytes(4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0);
}

/** 12 bytes. Lifetime 0 takes the mapping back. */
export function encodeMappingRequest({
  protocol,
  internalPort,
  externalPort,
  lifetime,
}: Mapping): Uint8Array {
  const head = new ByteWriter().u8(0).u8(opcodes[protocol]).u16(0);
  const bytes = head.u16(swap16(internalPort)).u16(swap16(externalPort)).u32(0).finish();
  new DataView(bytes.buffer).setUint32(8, lifetime);
  return bytes;
}

/** 2 bytes. */
export function encodeAddressRequest(): Uint8Array {
  return new Uint8Array([0, opcodes.address]);
}

function readHead(reader: ByteReader, opcode: number): void {
  if (reader.u8() !== 0 || reader.u8() !== 128 + opcode) throw reader.fail('not an answer to this question');
  const result = swap16(reader.u16());
  if (result !== 0) {
    const details = { refused: result };
    throw new KithError('malformed', `the router refused it by NAT-PMP (${result})`, { details });
  }
  u32(reader);
}

/** Of the external address. KithError `malformed`, also where the router refuses. */
export function decodeAddressAnswer(bytes: Uint8Array): string {
  const reader = new ByteReader(bytes, 'NAT-PMP answer');
  readHead(reader, opcodes.address);
  const host = reader.bytes(4).join('.');
  reader.end();
  return host;
}

/** Of a mapping for that protocol. KithError `malformed`, also where the router refuses. */
export function decodeMappingAnswer(bytes: Uint8Array, protocol: Mapping['protocol']): Mapping {
  const reader = new ByteReader(bytes, 'NAT-PMP answer');
  readHead(reader, opcodes[protocol]);
  const internalPort = swap16(reader.u16());
  const externalPort = swap16(reader.u16());
  const lifetime = u32(reader);
  reader.end();
  return { protocol, internalPort, externalPort, lifetime };
}

/** Where the router listens. */
export interface Gateway {
  readonly host: string;
  readonly port: number;
}

/** One question and its answer; packets from anybody else are passed over, as are those that aren't an answer. */
async function ask<T>(
  gateway: Gateway,
  question: Uint8Array,
  decode: (bytes: Uint8Array) => T,
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const socket = createSocket('udp4');
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<T>((resolve, reject) => {
      let tries = 0;
      const send = (): void => {
        if (tries >= triesMax) {
          reject(new KithError('peer-unreachable', `${gateway.host} doesn't answer NAT-PMP`));
          return;
        }
        socket.send(question, gateway.port, gateway.host);
        timer = setTimeout(send, firstWaitMs * 2 ** tries);
        tries++;
      };
      socket.on('error', reject);
      const abort = (): void => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      socket.once('close', () => signal.removeEventListener('abort', abort));
      socket.on('message', (bytes, from) => {
        if (from.address !== gateway.host || from.port !== gateway.port) return;
        try {
          resolve(decode(bytes));
        } catch (error) {
          // What makes no sense is passed over; a plain no is an answer.
          if (isKithError(error) && error.details['refused'] !== undefined) reject(error);
        }
      });
      send();
    });
  } finally {
    clearTimeout(timer);
    await closed(socket);
  }
}

function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}

/** The router's address outside. KithError `peer-unreachable`, `malformed`, or the signal's reason. */
export async function askExternalAddress(gateway: Gateway, signal: AbortSignal): Promise<string> {
  return await ask(gateway, encodeAddressRequest(), decodeAddressAnswer, signal);
}

/** Asks for a mapping; the router may give another external port and a shorter life. Errors as before. */
export async function askMapping(gateway: Gateway, wanted: Mapping, signal: AbortSignal): Promise<Mapping> {
  const decode = (bytes: Uint8Array): Mapping => {
    const given = decodeMappingAnswer(bytes, wanted.protocol);
    if (given.internalPort !== wanted.internalPort)
      throw new KithError('malformed', 'an answer about another port');
    return given;
  };
  return await ask(gateway, encodeMappingRequest(wanted), decode, signal);
}
