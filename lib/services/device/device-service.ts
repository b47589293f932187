import { equalBytes, toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { keyRecordBytesMax } from '../../format/key-record.ts';
import { asBroken, heard } from '../../net/broken-peer.ts';
import type { HeldLog } from '../../holders/holder.ts';
import type { IncomingCall, OutgoingReply, PeerInfo, Service, ServiceHandler } from '../../net/service.ts';
import {
  decodeLogCursor,
  decodeSegmentRef,
  encodeFound,
  encodeLogPage,
  logPageOf,
} from '../store/store-codec.ts';
import { toldToFriend } from '../store/told-to-friend.ts';

/** What devices of one identity do for each other (docs/formats/device-service.md). */
export const deviceServiceName = 'kith/device';
export const deviceVersions: { readonly min: number; readonly max: number } = { min: 1, max: 1 };

/** Numbers of the methods, those of `kith/store` where they do the same; never used again for something else. */
export const deviceMethods = {
  listLogs: 12,
  getSegment: 14,
  getKeyRecord: 16,
  news: 32,
  takeKeyRecord: 33,
} as const;

export interface DeviceServiceOptions {
  /** Our own identity: nobody else is granted anything. */
  readonly identity: Uint8Array;
  /** Logs as this home has them. */
  readonly listLogs: () => readonly HeldLog[];
  readonly getSegment: (logKey: Uint8Array, firstIndex: number) => Promise<Uint8Array | undefined>;
  readonly keyRecord: () => Uint8Array;
  /** A device (hex) says that it has something new. Must not throw. */
  readonly onNews: (deviceId: string) => void;
  /** A device hands over the key record. KithError for one that isn't genuine. */
  readonly takeKeyRecord: (bytes: Uint8Array) => Promise<void>;
}

/** The logs and the key record of this home, for the identity's other devices to read. */
export function deviceService(options: DeviceServiceOptions): Service {
  return {
    name: deviceServiceName,
    versions: deviceVersions,
    accept: (peer) =>
      equalBytes(peer.identity, options.identity) ? new DeviceHandler(options, peer) : undefined,
  };
}

class DeviceHandler implements ServiceHandler {
  readonly #options: DeviceServiceOptions;
  readonly #deviceId: string;

  constructor(options: DeviceServiceOptions, { deviceId }: PeerInfo) {
    this.#options = options;
    this.#deviceId = toHex(deviceId);
  }

  async handle(call: IncomingCall): Promise<OutgoingReply> {
    try {
      const reply = await this.#answer(call);
      const bytes = reply.download?.reduce((sum, part) => sum + part.length, 0) ?? 0;
      if (bytes > call.downloadBytesMax) throw new KithError('usage', `the answer has ${bytes} bytes`);
      return reply;
    } catch (error) {
      throw toldToFriend(error);
    }
  }

  async #answer(call: IncomingCall): Promise<OutgoingReply> {
    const { method, body } = call;
    const { listLogs, getSegment, keyRecord, onNews } = this.#options;
    switch (method) {
      case deviceMethods.listLogs:
        return {
          body: encodeLogPage(
            logPageOf(
              listLogs(),
              heard(() => decodeLogCursor(body)),
            ),
          ),
        };
      case deviceMethods.getSegment: {
        const { logKey, firstIndex } = heard(() => decodeSegmentRef(body));
        return found(await getSegment(logKey, firstIndex));
      }
      case deviceMethods.getKeyRecord:
        return found(keyRecord());
      case deviceMethods.news:
        onNews(this.#deviceId);
        return { body: new Uint8Array(0) };
      case deviceMethods.takeKeyRecord:
        if (call.uploadBytes > keyRecordBytesMax)
          throw new KithError('limit-exceeded', 'too long a key record');
        await this.#takeKeyRecord(await call.receive());
        return { body: new Uint8Array(0) };
      default:
        throw new KithError('too-new', `${deviceServiceName} has no method ${method} here. Update kith.`);
    }
  }

  async #takeKeyRecord(bytes: Uint8Array): Promise<void> {
    try {
      await this.#options.takeKeyRecord(bytes);
    } catch (error) {
      throw asBroken(error);
    }
  }

  closed(): void {
    // Nothing is kept for a session.
  }
}

function found(bytes: Uint8Array | undefined): OutgoingReply {
  return bytes === undefined
    ? { body: encodeFound(undefined) }
    : { body: encodeFound(bytes.length), download: [bytes] };
}
