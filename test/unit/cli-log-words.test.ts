import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logText } from '../../cli/log-words.ts';
import { errorCodes } from '../../lib/base/errors.ts';
import { operationKinds } from '../../lib/vault/operation-kinds.ts';

function shownOf(event: string, text: string): string {
  return logText({ time: '', level: 'info', event, text });
}

test('the log shows people commands and reasons, no names of methods and codes', () => {
  assert.equal(shownOf('command', 'friendPing began'), 'kith friend ping began');
  assert.equal(
    shownOf('command', 'backup ended: complete, 1 file, 2 B new'),
    'A backup ended: complete, 1 file, 2 B new',
  );
  assert.equal(
    shownOf('command', 'backup ended: device-revoked'),
    'A backup did not succeed: this computer was revoked',
  );
  assert.equal(
    shownOf('repair-failed', 'a repair failed (io-error) and is tried again later'),
    'a repair failed (the system refused to read or write) and is tried again later',
  );
  for (const method of Object.keys(operationKinds)) {
    // Of one word they are what is typed.
    if (/[A-Z]/.test(method)) assert.ok(!shownOf('command', `${method} began`).includes(method), method);
    for (const code of Object.keys(errorCodes)) {
      const line = shownOf('command', `${method} ended: ${code}`);
      assert.match(line, / did not succeed: \S/);
      assert.ok(!/: [a-z]+-[a-z-]+$/.test(line), line);
    }
  }
});

test('what is no command, and what a friend is called, stays as it was written', () => {
  for (const text of ['ben is online', 'constructor began', 'ben (toString) went away', 'friendPing', ''])
    for (const event of ['command', 'friend-online']) assert.equal(shownOf(event, text), text);
});
