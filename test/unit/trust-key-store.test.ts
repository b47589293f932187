import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import type { RandomSource } from '../../lib/crypto/random.ts';
import { createIdentity } from '../../lib/trust/identity.ts';
import { needsPassphrase, openKeyStore, sealKeyStore } from '../../lib/trust/key-store.ts';
import { Seeded } from '../support/seeded.ts';

function randomOf(seed: number): RandomSource {
  const seeded = new Seeded(seed);
  return (count) => seeded.bytes(count);
}

const cheap = { operations: 1, memoryBytes: 8192 };
const { device } = createIdentity({ name: 'laptop', random: randomOf(1), nowNs: () => 5n });

void describe('the key store', () => {
  void it('gives the device back, with a passphrase and without', async () => {
    for (const passphrase of [undefined, 'correct horse']) {
      const bytes = await sealKeyStore(device, passphrase, randomOf(2), cheap);
      assert.equal(needsPassphrase(bytes), passphrase !== undefined);
      assert.deepEqual(await openKeyStore(bytes, passphrase), device);
    }
    const open = await sealKeyStore(device, undefined, randomOf(2));
    assert.deepEqual(await openKeyStore(open, 'not looked at'), device);
  });

  void it('says whether a passphrase is missing or wrong', async () => {
    const bytes = await sealKeyStore(device, 'correct horse', randomOf(2), cheap);
    await assert.rejects(openKeyStore(bytes, undefined), (error) => {
      assert.ok(isKithError(error, 'wrong-passphrase'));
      assert.match(error.message, /KITH_PASSPHRASE .*--passphrase-file/);
      return error.details['given'] === false;
    });
    await assert.rejects(openKeyStore(bytes, 'correct house'), (error) => {
      assert.ok(isKithError(error, 'wrong-passphrase'));
      return error.details['given'] === true;
    });
  });

  void it('takes a passphrase however its letters were composed', async () => {
    const bytes = await sealKeyStore(device, 'caf\u00e9', randomOf(2), cheap);
    assert.deepEqual(await openKeyStore(bytes, 'cafe\u0301'), device);
  });

  void it('without a passphrase: any flipped bit and any truncation is damage, never a wrong key', async () => {
    const bytes = await sealKeyStore(device, undefined, randomOf(2));
    for (let at = 0; at < bytes.length; at++) {
      for (const altered of [bytes.slice(0, at), bytes.map((byte, i) => (i === at ? byte ^ 0x10 : byte))]) {
        await assert.rejects(openKeyStore(altered, undefined), (error) =>
          isKithError(error, 'damaged', 'too-new'),
        );
      }
    }
  });

  void it('with a passphrase: every changed byte is refused, and unreasonable costs are not paid', async () => {
    const bytes = await sealKeyStore(device, 'correct horse', randomOf(2), cheap);
    for (let at = 0; at < bytes.length; at++) {
      // Bytes of the costs ask for more work when changed; the highest of each go over the limit at once.
      if (at >= 11 && at < 23 && at !== 14 && at !== 20) continue;
      const altered = bytes.map((byte, i) => (i === at ? byte ^ 0x40 : byte));
      await assert.rejects(openKeyStore(altered, 'correct horse'), (error) =>
        isKithError(error, 'wrong-passphrase', 'damaged', 'too-new', 'limit-exceeded'),
      );
    }
  });
});
