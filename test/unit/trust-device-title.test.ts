import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { deviceTitle } from '../../lib/trust/device-title.ts';

const deviceId = new Uint8Array(32).fill(0x3f);
const digits = toHex(deviceId).slice(0, 4);

void describe('what a friend’s computer is called', () => {
  const title = (name: string): string => deviceTitle({ deviceId, name }, 'Ben');

  void it('is the name that its card gives, fit for a line and no longer than a line bears', () => {
    assert.equal(title('laptop'), 'laptop');
    assert.equal(title('  up\n\u001b[31m\u202estairs '), 'up [31mstairs');
    assert.equal(title('x'.repeat(40)), 'x'.repeat(40));
    assert.equal(title('\u{1f5a5}'.repeat(60)), `${'\u{1f5a5}'.repeat(39)}…`);
  });

  void it('is whose it is, with digits, where the card gives a name that says nothing', () => {
    assert.equal(title(`device ${digits}`), 'computer 3f3f of Ben');
    assert.equal(title(''), 'computer 3f3f of Ben');
    assert.equal(title('\u200b\u0007'), 'computer 3f3f of Ben');
    // Digits of another device were chosen by somebody.
    assert.equal(title('device 1117'), 'device 1117');
  });
});
