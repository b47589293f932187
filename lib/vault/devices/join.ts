import { join } from 'node:path';
import { equalBytes, idKey, toHex } from '../../base/bytes.ts';
import { KithError } from '../../base/errors.ts';
import { SegmentLogs } from '../../catalog/segment-logs.ts';
import { boxKeyPair, signKeyPair } from '../../crypto/sign.ts';
import { writeDurably } from '../../disk/write-durably.ts';
import { decodeCertificate, verifyCertificate } from '../../format/certificate.ts';
import { decodeLinkText, type DeviceLink } from '../../format/device-link.ts';
import { decodeJoinWelcome, encodeJoinHello, type JoinWelcome } from '../../format/join-messages.ts';
import { keyStoreTags } from '../../format/key-store.ts';
import type { DeviceKeys } from '../../trust/device.ts';
import { linkWords } from '../../trust/link-keys.ts';
import { OwnCardFile } from '../../trust/own-card-file.ts';
import { readKeyRecord, withEpochsOf } from '../../trust/own-key-record.ts';
import { RevokedDevices } from '../../trust/revocations.ts';
import { defaultDeviceName, prepareHome, writeHome } from '../init.ts';
import { Session } from '../session.ts';
import { systemSurroundings, type Surroundings } from '../session-parts.ts';
import { allSnapshots } from '../read/snapshots.ts';
import type { JoinOptions, JoinSummary } from '../types.ts';

/** What the device that made the link gives. Nothing of it is verified. */
export interface JoinGifts {
  readonly welcome: Uint8Array;
  readonly keyRecord: Uint8Array;
  /** Of all logs, in the order of each. */
  readonly segments: AsyncIterable<Uint8Array>;
}

/** The connection to the device that made the link. */
export interface JoinConnection {
  readonly handshakeHash: Uint8Array;
  /** Says who this is, and waits until the other side has decided. KithError `peer-refused`, `peer-unreachable`, `malformed`. */
  ask(hello: Uint8Array): Promise<JoinGifts>;
  /** All is stored. */
  done(): Promise<void>;
  close(): Promise<void>;
}

/** Dials the device that made a link. KithError `peer-unreachable`, `peer-refused`. */
export type DialLink = (link: DeviceLink, signal?: AbortSignal) => Promise<JoinConnection>;

/** Random keys of a new device, which nobody has certified yet. */
interface FreshKeys {
  readonly deviceSeed: Uint8Array;
  readonly boxSeed: Uint8Array;
}

/**
 * Makes this computer a further device of the identity that a link is of. Nothing counts in the home before all is there: run again with
 * another link after an interruption. KithError `malformed`, `failed` for a link that has expired, `vault-exists`, those of the dial, and
 * `not-authentic` for gifts that aren't what they should be.
 */
export async function joinVault(
  options: JoinOptions & { readonly dial: DialLink; readonly surroundings?: Surroundings },
): Promise<JoinSummary> {
  const { home, signal } = options;
  const surroundings = options.surroundings ?? systemSurroundings;
  const link = decodeLinkText(options.link);
  if (link.expiresNs < surroundings.clock.nowNs()) {
    throw new KithError(
      'failed',
      'the link has expired: it is good for 15 minutes. On the other computer, kith device link --phrase-file FILE makes a new one.',
    );
  }
  const deviceName = options.name ?? defaultDeviceName();
  const lock = await prepareHome(surroundings, home);
  let device: DeviceKeys;
  try {
    const keys = { deviceSeed: surroundings.random(32), boxSeed: surroundings.random(32) };
    const connection = await options.dial(link, signal);
    try {
      const gifts = await connection.ask(helloOf(link, keys, deviceName, connection, options.onWords));
      device = deviceOf(link, keys, decodeJoinWelcome(gifts.welcome), gifts.keyRecord);
      await writeJoined(surroundings, home, { ...gifts, device, deviceName, passphrase: options.passphrase });
      await connection.done();
    } finally {
      await connection.close();
    }
  } finally {
    await lock.release();
  }
  return await summaryOf(options, surroundings, device, deviceName);
}

function helloOf(
  { vaultId }: DeviceLink,
  { deviceSeed, boxSeed }: FreshKeys,
  name: string,
  { handshakeHash }: JoinConnection,
  onWords: JoinOptions['onWords'],
): Uint8Array {
  const { publicKey: deviceId, secretKey } = signKeyPair(deviceSeed);
  const { publicKey: boxKey } = boxKeyPair(boxSeed);
  onWords?.(linkWords({ handshakeHash, vaultId, deviceId, boxKey }));
  return encodeJoinHello({ deviceId, boxKey, name }, handshakeHash, secretKey);
}

/** The device of what it was given. KithError `not-authentic` unless that is of the link's identity, and for these very keys. */
export function deviceOf(
  { vaultId }: Pick<DeviceLink, 'vaultId'>,
  { deviceSeed, boxSeed }: FreshKeys,
  welcome: JoinWelcome,
  keyRecord: Uint8Array,
): DeviceKeys {
  const { publicKey: deviceId, secretKey: deviceSecretKey } = signKeyPair(deviceSeed);
  const boxKeys = boxKeyPair(boxSeed);
  const certificate = decodeCertificate(welcome.certificate);
  verifyCertificate(certificate, vaultId);
  const doorstep = signKeyPair(welcome.doorstepSeed).publicKey;
  const isOurs =
    equalBytes(certificate.deviceId, deviceId) &&
    equalBytes(certificate.boxKey, boxKeys.publicKey) &&
    equalBytes(certificate.doorstepKey, doorstep);
  const { certificates } = readKeyRecord(vaultId, keyRecord);
  if (!isOurs || !certificates.some((each) => equalBytes(each.deviceId, deviceId))) {
    throw new KithError('not-authentic', 'the other computer certified something else than this one');
  }
  const device = withEpochsOf(
    {
      vaultId,
      deviceId,
      deviceSecretKey,
      boxKeys,
      boxSeed,
      blobIdKey: welcome.blobIdKey,
      cutKey: welcome.cutKey,
      certificate: welcome.certificate,
      epochs: [],
      extensions: [{ tag: keyStoreTags.doorstepSeed, bytes: welcome.doorstepSeed }],
    },
    keyRecord,
  );
  if (device.epochs.length === 0) {
    throw new KithError('not-authentic', 'the other computer gave no keys that this one can open');
  }
  return device;
}

/** Writes the home: key record, logs, what is known of other devices' addresses, own logs, and last the key store. */
export async function writeJoined(
  surroundings: Surroundings,
  home: string,
  parts: JoinGifts & {
    readonly device: DeviceKeys;
    readonly deviceName: string;
    readonly passphrase: string | undefined;
  },
): Promise<void> {
  const { disk } = surroundings;
  const { device, keyRecord, segments } = parts;
  const tempFolder = join(home, 'tmp');
  await writeDurably(disk, { tempFolder, path: join(home, 'keys'), parts: [keyRecord], mode: 0o600 });
  const record = readKeyRecord(device.vaultId, keyRecord);
  const devices = new Set(record.certificates.map(({ deviceId }) => idKey(deviceId)));
  const revoked = new RevokedDevices(record.revocations);
  const logs = await SegmentLogs.open({
    disk,
    folder: join(home, 'logs'),
    tempFolder,
    authority: {
      vaultId: device.vaultId,
      isDevice: (id) => devices.has(idKey(id)),
      trustedLength: (id, logKey) => revoked.trustedLength(id, logKey),
    },
    onProblem: () => undefined,
    onRecord: () => undefined,
  });
  for await (const segment of segments) await logs.put(segment, () => undefined);
  const cards = await OwnCardFile.open({ disk, home, tempFolder, identity: device.vaultId });
  await cards.learn(decodeJoinWelcome(parts.welcome).card);
  await writeHome(surroundings, home, {
    device,
    keyRecord,
    passphrase: parts.passphrase,
    reason: 'linked to a device of the identity',
    name: undefined,
    deviceName: parts.deviceName,
  });
}

async function summaryOf(
  { home, passphrase }: JoinOptions,
  surroundings: Surroundings,
  { vaultId, deviceId }: DeviceKeys,
  deviceName: string,
): Promise<JoinSummary> {
  const session = await Session.open({
    home,
    surroundings,
    ...(passphrase !== undefined && { passphrase }),
  });
  try {
    const snapshots = await allSnapshots(session);
    const id = toHex(vaultId);
    return { id, name: session.name, deviceId: toHex(deviceId), deviceName, snapshots: snapshots.length };
  } finally {
    await session.close();
  }
}
