import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import { announcedCountMax, announcedHost, announcedPlaces } from '../../lib/trust/announced.ts';
import { Settings } from '../../lib/vault/settings/settings.ts';

const isUsage = (error: unknown): boolean => isKithError(error, 'usage');

void describe('places that are announced by hand', () => {
  void it('are none, one or several', () => {
    assert.deepEqual(announcedPlaces(''), []);
    assert.deepEqual(announcedPlaces(' home.example.org:4747 '), [{ host: 'home.example.org', port: 4747 }]);
    assert.deepEqual(announcedPlaces('11.22.33.10:4747,[2001:db8::1]:4747'), [
      { host: '11.22.33.10', port: 4747 },
      { host: '2001:db8::1', port: 4747 },
    ]);
  });

  void it('are refused where nobody could be met', () => {
    for (const text of ['11.22.33.10', '11.22.33.10:0', '0.0.0.0:4747', '[::]:4747', '127.1:4747', 'a b:1']) {
      assert.throws(() => announcedPlaces(text), isUsage, text);
    }
    const many = Array.from({ length: announcedCountMax + 1 }, (_, index) => `11.22.33.${index + 1}:4747`);
    assert.throws(() => announcedPlaces(many.join()), isUsage);
  });

  void it('say under which address the DHT is met on the same port, over IPv4', () => {
    const places = announcedPlaces(
      'home.example.org:4747, [2001:db8::1]:4747, 11.22.33.10:5000, 11.22.33.11:4747',
    );
    assert.equal(announcedHost(places, 4747), '11.22.33.11');
    assert.equal(announcedHost(places, 4748), undefined);
  });

  void it('are of one computer: the catalog, which all devices share, doesn’t take them', () => {
    Settings.check('net.announce', '11.22.33.10:4747');
    assert.throws(() => Settings.check('net.announce', 'nowhere'), isUsage);
    assert.throws(() => Settings.checkSet('net.announce', '11.22.33.10:4747'), /only be set in kith\.toml/);
  });
});
