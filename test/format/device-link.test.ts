import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import {
  decodeDeviceLink,
  decodeLinkText,
  encodeDeviceLink,
  encodeLinkText,
  type DeviceLink,
} from '../../lib/format/device-link.ts';
import {
  decodeJoinHello,
  decodeJoinWelcome,
  encodeJoinHello,
  encodeJoinWelcome,
  verifyJoinHello,
} from '../../lib/format/join-messages.ts';
import { linkKeys, linkWords } from '../../lib/trust/link-keys.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';
import { Seeded } from '../support/seeded.ts';

const file = 'device-link.json';
const seeded = new Seeded(11);
const device = signKeyPair(seeded.bytes(32));
const handshakeHash = seeded.bytes(64);

const link: DeviceLink = {
  seed: seeded.bytes(32),
  vaultId: seeded.bytes(32),
  expiresNs: 1_767_225_600_000_000_000n,
  name: 'Ada',
  endpoints: [
    { host: '192.168.1.7', port: 49_737, direct: true, dht: false },
    { host: '2001:db8::1', port: 49_737, direct: true, dht: false },
  ],
  extensions: [{ tag: 9, bytes: new Uint8Array([1, 2]) }],
};

const welcome = {
  certificate: seeded.bytes(300),
  blobIdKey: seeded.bytes(32),
  cutKey: seeded.bytes(32),
  doorstepSeed: seeded.bytes(32),
  card: seeded.bytes(500),
};

const hello = (): Uint8Array =>
  encodeJoinHello(
    { deviceId: device.publicKey, boxKey: welcome.cutKey, name: 'laptop' },
    handshakeHash,
    device.secretKey,
  );

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');

void describe('a device link', () => {
  void it('comes back from its text, in either case, with white space anywhere', () => {
    const text = encodeLinkText(link);
    assert.deepEqual(decodeLinkText(text), link);
    assert.deepEqual(decodeLinkText(` ${text.toUpperCase().replace(/(.{50})/g, '$1\n')}\n`), link);
  });

  void it('with a letter lost, changed or too many is refused', () => {
    const text = encodeLinkText(link);
    for (const bad of [
      text.slice(0, -1),
      `${text}a`,
      `${text.slice(0, 40)}${text[40] === 'a' ? 'b' : 'a'}${text.slice(41)}`,
      `${text.slice(0, 40)}1${text.slice(41)}`,
      text.replace('link', 'card'),
      'kith:link:',
      '',
      `kith:link:${'a'.repeat(100_000)}`,
    ]) {
      assert.throws(() => decodeLinkText(bad), malformed, bad.slice(0, 60));
    }
  });

  void it('makes two pairs, and words that depend on all that could be another', () => {
    const { host, guest } = linkKeys(link.seed);
    assert.notDeepEqual(host.publicKey, guest.publicKey);
    const parts = {
      handshakeHash,
      vaultId: link.vaultId,
      deviceId: device.publicKey,
      boxKey: welcome.cutKey,
    };
    const words = linkWords(parts);
    assert.equal(words.split(' ').length, 5);
    assert.equal(linkWords({ ...parts }), words);
    for (const part of ['handshakeHash', 'vaultId', 'deviceId', 'boxKey'] as const) {
      const other = parts[part].slice();
      other[7] = (other[7] ?? 0) ^ 1;
      assert.notEqual(linkWords({ ...parts, [part]: other }), words, part);
    }
  });
});

void describe('what a new device and the other say', () => {
  void it('the hello holds for its link only', () => {
    const back = decodeJoinHello(hello());
    assert.equal(back.name, 'laptop');
    assert.ok(verifyJoinHello(back, handshakeHash));
    assert.ok(
      !verifyJoinHello(
        back,
        handshakeHash.map((byte) => byte ^ 1),
      ),
    );
    assert.ok(!verifyJoinHello({ ...back, name: 'other' }, handshakeHash));
    assert.ok(!verifyJoinHello({ ...back, boxKey: welcome.blobIdKey }, handshakeHash));
  });

  void it('the welcome comes back', () => {
    assert.deepEqual(decodeJoinWelcome(encodeJoinWelcome(welcome)), welcome);
  });
});

void describe('golden vectors of device links', () => {
  void it('link', () => {
    assert.deepEqual(
      checkGolden(file, 'link', () => encodeDeviceLink(link), decodeDeviceLink, encodeDeviceLink),
      link,
    );
  });
  void it('hello', () => {
    const found = checkGolden(file, 'hello', hello, decodeJoinHello, (value) =>
      encodeJoinHello(value, handshakeHash, device.secretKey),
    );
    assert.ok(verifyJoinHello(found, handshakeHash));
  });
  void it('welcome', () => {
    checkGolden(file, 'welcome', () => encodeJoinWelcome(welcome), decodeJoinWelcome, encodeJoinWelcome);
  });
});

fuzzDecoder('device link', [encodeDeviceLink(link)], canonical(decodeDeviceLink, encodeDeviceLink));
fuzzDecoder('hello of a new device', [hello()], (bytes) => void decodeJoinHello(bytes));
fuzzDecoder(
  'welcome of a new device',
  [encodeJoinWelcome(welcome)],
  canonical(decodeJoinWelcome, encodeJoinWelcome),
);
