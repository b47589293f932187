import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { noise } from '../support/noise.ts';
import { connectedPair } from '../support/net-peers.ts';

void describe('calls over a session', () => {
  void it('carry a body and bulk both ways', async (test) => {
    const { a, b } = await connectedPair(test);
    const echo = a.network.caller(b.identity, 'kith/echo');
    assert.equal(echo.connected, true);
    const upload = noise(1, 8 * 2 ** 20);
    const reply = await echo.call(0, utf8('hello'), {
      upload: [upload.subarray(0, 1000), new Uint8Array(0), upload.subarray(1000)],
      downloadBytesMax: upload.length,
    });
    assert.deepEqual(reply.body, utf8('hello'));
    assert.ok(Buffer.compare(reply.download, upload) === 0);
    // And the other way round, at the same time on the same link.
    const back = await b.network.caller(a.identity, 'kith/echo').call(0, utf8('back'));
    assert.deepEqual(back.body, utf8('back'));
    assert.equal(back.download.length, 0);
  });

  void it("bring the other side's errors", async (test) => {
    const { a, b } = await connectedPair(test);
    const failed = a.network.caller(b.identity, 'kith/echo').call(1, new Uint8Array(0));
    await assert.rejects(failed, (error) => {
      assert.ok(isKithError(error, 'quota-exceeded'));
      assert.deepEqual({ ...error.details }, { bytes: 5 });
      return true;
    });
  });
});
