// What kith uses of protomux, which ships no types. Messages are written and read by lib/net/links/mux.ts alone.
declare module 'protomux' {
  /** Where an encoding writes and reads. */
  export interface EncodingState {
    start: number;
    end: number;
    buffer: Uint8Array;
  }

  export interface Encoding {
    preencode(state: EncodingState, parts: readonly Uint8Array[]): void;
    encode(state: EncodingState, parts: readonly Uint8Array[]): void;
    decode(state: EncodingState): Uint8Array;
  }

  export interface Message {
    /** False when the stream wants no more for now; it was taken all the same. */
    send(parts: readonly Uint8Array[]): boolean;
  }

  export interface Channel {
    readonly messages: readonly Message[];
    readonly closed: boolean;
    open(): void;
    /** Harmless when repeated; calls onclose before it returns. */
    close(): void;
  }

  export interface ChannelOptions {
    readonly protocol: string;
    readonly id: Uint8Array | null;
    readonly messages: readonly { readonly encoding: Encoding; onmessage(bytes: Uint8Array): void }[];
    onopen(): void;
    onclose(): void;
  }

  export default class Protomux {
    /** Takes anything that looks like a stream of messages. */
    constructor(stream: object);
    /** Null if the stream is destroyed, or a channel of that name and id is open. */
    createChannel(options: ChannelOptions): Channel | null;
    /** `notify` is called when the other side opens such a channel that isn't open here. */
    pair(name: { protocol: string; id: Uint8Array | null }, notify: () => void): void;
    unpair(name: { protocol: string; id: Uint8Array | null }): void;
  }
}
