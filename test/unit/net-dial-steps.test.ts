import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { adviceLines, stepLine } from '../../cli/step-words.ts';
import { KithError } from '../../lib/base/errors.ts';
import { DialJournal, stepCountMax, takeStep, troubleOf } from '../../lib/net/dial-steps.ts';
import type { PingStep } from '../../lib/net/dial-steps.ts';
import { keyPairOf } from '../support/net-peers.ts';

function failed(code: string): KithError {
  const cause = Object.assign(new Error(code), { code });
  return new KithError('peer-unreachable', `10.0.0.1:1 can't be reached: ${code}`, { cause });
}

const step: PingStep = {
  way: 'direct',
  address: '10.0.0.1:1',
  ok: false,
  ms: 12.4,
  message: '10.0.0.1:1 doesn’t answer',
  trouble: 'silent',
};

void describe('the steps of a try', () => {
  void it('say what was wrong in kinds that a person can act on', () => {
    const unreachable = (details = {}): KithError => new KithError('peer-unreachable', 'no', { details });
    assert.equal(troubleOf('direct', new KithError('peer-refused', 'no')), 'refused');
    assert.equal(troubleOf('direct', failed('ECONNREFUSED')), 'closed');
    assert.equal(troubleOf('lan', failed('EHOSTUNREACH')), 'unreachable');
    assert.equal(troubleOf('direct', failed('ETIMEDOUT')), 'silent');
    assert.equal(troubleOf('direct', unreachable()), 'silent');
    assert.equal(troubleOf('direct', unreachable({ tried: 0 })), 'no-address');
    assert.equal(troubleOf('dht', unreachable()), 'not-found');
    assert.equal(troubleOf('dht', unreachable({ crossed: true })), 'in-use');
    assert.equal(troubleOf('relay', unreachable({ relays: 0 })), 'no-relay');
    assert.equal(troubleOf('relay', unreachable({ relays: 2 })), 'not-found');
    assert.equal(troubleOf('dht', new KithError('interrupted', 'no')), 'called-off');
  });

  void it('are told with their time, whatever becomes of them', async () => {
    let nowMs = 100;
    const told: PingStep[] = [];
    const take = (run: () => Promise<number>): Promise<number> =>
      takeStep(
        { way: 'direct', address: '10.0.0.1:1' },
        () => nowMs,
        (each) => told.push(each),
        run,
      );
    const good = await take(() => {
      nowMs += 7;
      return Promise.resolve(3);
    });
    assert.equal(good, 3);
    await assert.rejects(take(() => Promise.reject(failed('ECONNREFUSED'))));
    assert.deepEqual(
      told.map(({ ok, ms, trouble }) => [ok, ms, trouble]),
      [
        [true, 7, null],
        [false, 0, 'closed'],
      ],
    );
  });

  void it('are kept of the last whole try, bounded, until the device is reached', () => {
    const journal = new DialJournal();
    const { publicKey } = keyPairOf(1);
    assert.deepEqual(journal.of(publicKey), []);
    const first = journal.begin(publicKey);
    for (let i = 0; i < stepCountMax + 5; i++) first.tell(step);
    assert.deepEqual(journal.of(publicKey), [], 'not before it has ended');
    first.end();
    assert.equal(journal.of(publicKey).length, stepCountMax);
    const calledOff = journal.begin(publicKey);
    calledOff.tell({ ...step, trouble: 'called-off' });
    calledOff.end();
    assert.equal(journal.of(publicKey).length, stepCountMax);
    journal.forget(publicKey);
    assert.deepEqual(journal.of(publicKey), []);
    first.end();
    journal.keep(new Set());
    assert.deepEqual(journal.of(publicKey), []);
  });

  void it('are lines for people, with what to do where none worked', () => {
    assert.equal(stepLine(step), 'directly 10.0.0.1:1: doesn’t answer (12 ms)');
    assert.equal(
      stepLine({ ...step, way: 'lan', ok: true, message: null, trouble: null }),
      'in the local network 10.0.0.1:1: answered in 12.4 ms',
    );
    const kinds = ['silent', 'silent', 'closed', 'called-off'] as const;
    const lines = adviceLines(kinds.map((trouble) => ({ ...step, trouble })));
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /kith up/);
    assert.deepEqual(adviceLines([step, { ...step, ok: true, message: null, trouble: null }]), []);
  });
});
