import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { textOf, utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import {
  decodeDriveMarker,
  driveMarkerFile,
  driveReadme,
  encodeDriveMarker,
} from '../../lib/format/drive-marker.ts';
import { fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';

const malformed = (error: unknown): boolean => isKithError(error, 'malformed');
const tooNew = (error: unknown): boolean => isKithError(error, 'too-new');

const marker = {
  id: '1a'.repeat(32),
  vault: '2b'.repeat(32),
  name: 'blue "disk"',
  created: '2026-01-01T12:30:00.000Z',
};

const json = (changes: Record<string, unknown>): Uint8Array =>
  utf8(JSON.stringify({ magic: 'kith-drive', version: 1, ...marker, ...changes }));

void describe('drive marker', () => {
  void it('comes back as it was written', () => {
    const hex = fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .map((bytes) => Buffer.from(bytes).toString('hex'));
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
      .filter((text) => !/[\p{Cc}\u2028\u2029]/u.test(text));
    fc.assert(
      fc.property(fc.record({ id: hex, vault: hex, name }, { noNullPrototype: true }), (parts) => {
        const value = { ...parts, created: marker.created };
        assert.deepEqual(decodeDriveMarker(encodeDriveMarker(value)), value);
      }),
    );
    assert.equal(driveMarkerFile, 'kith-drive.json');
  });

  void it('is as its golden vector', () => {
    const make = (): Uint8Array => encodeDriveMarker(marker);
    assert.deepEqual(
      checkGolden('drive-marker.json', 'marker', make, decodeDriveMarker, encodeDriveMarker),
      marker,
    );
  });

  void it('leaves fields aside that it does not know, and stops at a newer version', () => {
    assert.deepEqual(decodeDriveMarker(json({ colour: 'blue' })), marker);
    assert.throws(() => decodeDriveMarker(json({ version: 2, id: undefined })), tooNew);
  });

  void it('is refused where a field is not what it should be', () => {
    for (const changes of [
      { magic: 'kith' },
      { magic: undefined },
      { version: 0 },
      { version: '1' },
      { version: 1.5 },
      { id: '1A'.repeat(32) },
      { id: '1a'.repeat(31) },
      { id: 7 },
      { vault: `${'2b'.repeat(32)}\n` },
      { vault: undefined },
      { name: '' },
      { name: 'x'.repeat(256) },
      { name: 'two\nlines' },
      { name: '\u001b[2J' },
      { created: 'yesterday' },
      { created: '2026-13-01T12:30:00Z' },
      { created: '2026-01-01' },
    ]) {
      assert.throws(() => decodeDriveMarker(json(changes)), malformed, JSON.stringify(changes));
    }
    for (const text of [
      '',
      'null',
      '[]',
      '3',
      '"kith-drive"',
      '{',
      '{}',
      '{"__proto__":{"magic":"kith-drive"}}',
    ]) {
      assert.throws(() => decodeDriveMarker(utf8(text)), malformed, text);
    }
    assert.throws(() => decodeDriveMarker(new Uint8Array([0x7b, 0xff, 0x7d])), malformed);
    assert.throws(() => decodeDriveMarker(json({ padding: 'x'.repeat(5000) })), malformed);
    assert.throws(() => encodeDriveMarker({ ...marker, name: 'a\u0000b' }), malformed);
  });

  void it('at its longest stays within the file’s limit', () => {
    const longest = { ...marker, name: '"'.repeat(255) };
    assert.deepEqual(decodeDriveMarker(encodeDriveMarker(longest)), longest);
  });

  void it('has a text beside it that tells a finder what it is and the owner what to do', () => {
    const text = driveReadme(marker);
    assert.match(text, /blue "disk"/);
    assert.match(text, /kith recover --phrase-file FILE --drive PATH/);
    assert.ok(text.includes(marker.id) && text.includes(marker.vault));
    assert.equal(textOf(utf8(text)), text);
    assert.ok(text.split('\n').every((line) => line.length <= 90));
  });
});

// The line break at the end may be missing.
fuzzDecoder('drive marker', [encodeDriveMarker(marker)], decodeDriveMarker, { prefixesValid: true });
