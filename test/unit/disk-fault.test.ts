import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { isKithError } from '../../lib/base/errors.ts';
import { textOf, utf8 } from '../../lib/base/bytes.ts';
import { writeDurably } from '../../lib/disk/write-durably.ts';
import { CrashError, FaultDisk, type CrashMode } from '../support/fault-disk.ts';

const durable: readonly CrashMode[] = ['lose-unsynced', 'keep-all', 'mixed', 'process-killed'];

function contentOf(disk: FaultDisk, path: string): string | undefined {
  const bytes = disk.peek(path);
  return bytes === undefined ? undefined : textOf(bytes);
}

void test('a file without a folder sync loses its name, with it keeps both', async () => {
  const disk = new FaultDisk();
  await disk.write('/a', [utf8('bytes')], { sync: true });
  assert.equal(contentOf(disk.afterCrash('lose-unsynced'), '/a'), undefined);
  assert.equal(contentOf(disk.afterCrash('keep-all'), '/a'), 'bytes');
  await disk.syncFolder('/');
  for (const mode of durable) assert.equal(contentOf(disk.afterCrash(mode), '/a'), 'bytes', mode);
});

void test('a name without an fsync of its bytes is an empty file, or a torn one', async () => {
  const disk = new FaultDisk();
  await disk.write('/a', [utf8('bytes')], { sync: false });
  await disk.syncFolder('/');
  assert.equal(contentOf(disk.afterCrash('lose-unsynced'), '/a'), '');
  const seen = new Set<string | undefined>();
  for (let seed = 0; seed < 200; seed++) seen.add(contentOf(disk.afterCrash('mixed', seed), '/a'));
  for (const state of ['', 'byt', 'bytes', 'by\0\0\0']) assert.ok(seen.has(state), `never seen: ${state}`);
});

void test('an overwritten file shows its old bytes until it is synced', async () => {
  const disk = new FaultDisk();
  await disk.write('/a', [utf8('old')], { sync: true });
  await disk.syncFolder('/');
  await disk.write('/a', [utf8('newer')], { sync: false });
  assert.equal(contentOf(disk, '/a'), 'newer');
  assert.equal(contentOf(disk.afterCrash('lose-unsynced'), '/a'), 'old');
  await disk.write('/a', [utf8('newer')], { sync: true });
  assert.equal(contentOf(disk.afterCrash('lose-unsynced'), '/a'), 'newer');
});

void test('a rename is lost until the folder is synced', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/tmp');
  await disk.makeFolder('/final');
  await disk.write('/tmp/a', [utf8('bytes')], { sync: true });
  await disk.syncFolder('/tmp');
  await disk.rename('/tmp/a', '/final/a');
  assert.deepEqual(disk.afterCrash('lose-unsynced').files(), ['/tmp/a']);
  assert.deepEqual(disk.afterCrash('keep-all').files(), ['/final/a']);
  const seen = new Set<string>();
  for (let seed = 0; seed < 100; seed++) seen.add(disk.afterCrash('mixed', seed).files().join());
  assert.deepEqual([...seen].sort(), ['', '/final/a', '/final/a,/tmp/a', '/tmp/a']);
  await disk.syncFolder('/final');
  assert.ok(disk.afterCrash('lose-unsynced').files().includes('/final/a'));
});

void test('changes of one name happen in their order', async () => {
  const disk = new FaultDisk();
  for (const content of ['1', '2', '3']) {
    await disk.write('/temp', [utf8(content)], { sync: true });
    await disk.rename('/temp', '/a');
  }
  await disk.unlink('/a');
  const seen = new Set<string | undefined>();
  for (let seed = 0; seed < 200; seed++) seen.add(contentOf(disk.afterCrash('mixed', seed), '/a'));
  assert.deepEqual([...seen].map(String).sort(), ['1', '2', '3', 'undefined']);
});

void test('an unlink comes back until the folder is synced', async () => {
  const disk = new FaultDisk();
  disk.poke('/a', utf8('x'));
  await disk.unlink('/a');
  assert.deepEqual(disk.afterCrash('lose-unsynced').files(), ['/a']);
  await disk.syncFolder('/');
  assert.deepEqual(disk.afterCrash('lose-unsynced').files(), []);
});

void test('makeFolder is durable, all the way up', async () => {
  const disk = new FaultDisk();
  await disk.makeFolder('/a/b/c');
  assert.deepEqual(disk.trace, ['mkdir /a', 'sync /', 'mkdir /a/b', 'sync /a', 'mkdir /a/b/c', 'sync /a/b']);
  assert.equal((await disk.afterCrash('lose-unsynced').stat('/a/b/c'))?.isFolder, true);
});

void test('a killed process loses nothing, but what it did not sync a power cut still takes', async () => {
  const disk = new FaultDisk();
  await disk.write('/a', [utf8('x')], { sync: true });
  const later = disk.afterCrash('process-killed');
  assert.deepEqual(later.files(), ['/a']);
  assert.deepEqual(later.afterCrash('lose-unsynced').files(), []);
  await later.syncFolder('/');
  assert.deepEqual(later.afterCrash('lose-unsynced').files(), ['/a']);
  assert.deepEqual(disk.afterCrash('lose-unsynced').files(), [], 'the copy is independent');
});

void test('steps are counted and traced; reads are none', async () => {
  const disk = new FaultDisk();
  await disk.write('/a', [utf8('x')], { sync: true });
  await disk.write('/b', [utf8('yy')], { sync: false });
  await disk.rename('/b', '/c');
  await disk.unlink('/c');
  await disk.unlink('/c');
  await disk.list('/');
  await disk.stat('/a');
  await disk.readWhole('/a', 9);
  assert.deepEqual(disk.trace, ['write /a 1', 'fsync /a', 'write /b 2', 'rename /b /c', 'unlink /c']);
  assert.equal(disk.steps, 5);
});

void test('after the crash everything throws, and the step did not happen', async () => {
  const disk = new FaultDisk();
  await disk.write('/a', [utf8('x')], { sync: true });
  disk.crashAt(3);
  await assert.rejects(disk.rename('/a', '/b'), CrashError);
  assert.ok(disk.crashed);
  await assert.rejects(disk.readWhole('/a', 9), CrashError);
  await assert.rejects(disk.list('/'), CrashError);
  await assert.rejects(disk.lock('/lock'), CrashError);
  const found = disk.afterCrash('keep-all');
  assert.deepEqual(found.files(), ['/a']);
  await found.rename('/a', '/b');
  assert.equal(found.steps, 1);
});

void test('a write cut off leaves a beginning of its bytes, of every length', async () => {
  const lengths = new Set<number>();
  for (let seed = 0; seed < 100; seed++) {
    const disk = new FaultDisk({ seed });
    disk.crashAt(1);
    await assert.rejects(disk.write('/a', [utf8('abcd')], { sync: true }), CrashError);
    const torn = contentOf(disk.afterCrash('keep-all'), '/a');
    assert.ok(torn !== undefined && 'abcd'.startsWith(torn));
    lengths.add(torn.length);
  }
  assert.deepEqual(
    [...lengths].sort((a, b) => a - b),
    [0, 1, 2, 3, 4],
  );
});

void test('errors are injected once, or from then on, until healed', async () => {
  const disk = new FaultDisk();
  disk.failAt(1, 'EIO');
  await assert.rejects(disk.write('/a', [utf8('x')], { sync: false }), (e) => isKithError(e, 'io-error'));
  await disk.write('/a', [utf8('x')], { sync: false });
  disk.failAt(disk.steps + 1, 'ENOSPC', { always: true });
  for (let i = 0; i < 3; i++) {
    await assert.rejects(disk.write('/b', [utf8('x')], { sync: false }), (e) => isKithError(e, 'disk-full'));
  }
  disk.heal();
  await disk.write('/b', [utf8('x')], { sync: false });
  disk.failReads('EIO', (path) => path === '/b');
  await assert.rejects(disk.readWhole('/b', 9), (e) => isKithError(e, 'io-error'));
  assert.equal((await disk.readWhole('/a', 9))?.length, 1);
});

void test('a full disk takes what fits and says so', async () => {
  const disk = new FaultDisk({ capacityBytes: 10 });
  await disk.write('/a', [new Uint8Array(7)], { sync: true });
  assert.deepEqual(await disk.freeBytes('/'), { free: 3, total: 10 });
  await assert.rejects(disk.write('/b', [new Uint8Array(4)], { sync: true }), (e) =>
    isKithError(e, 'disk-full'),
  );
  assert.equal(disk.peek('/b')?.length, 3);
  await disk.unlink('/b');
  await disk.write('/a', [new Uint8Array(10)], { sync: true });
  assert.deepEqual(await disk.freeBytes('/'), { free: 0, total: 10 });
});

void test('writeDurably: cut at every step, the name shows the old bytes or the new, and the new once it returned', async () => {
  const prepare = async (): Promise<FaultDisk> => {
    const disk = new FaultDisk();
    await disk.makeFolder('/tmp');
    disk.poke('/a', utf8('old'));
    return disk.afterCrash('keep-all');
  };
  const file = { tempFolder: '/tmp', path: '/a', parts: [utf8('ne'), utf8('w')] };
  const whole = await prepare();
  await writeDurably(whole, file);
  assert.equal(whole.steps, 4);
  for (const mode of durable) assert.equal(contentOf(whole.afterCrash(mode), '/a'), 'new');
  for (let step = 1; step <= whole.steps; step++) {
    const disk = await prepare();
    disk.crashAt(step);
    await assert.rejects(writeDurably(disk, file), CrashError);
    for (let seed = 0; seed < 20; seed++) {
      for (const mode of durable) {
        const content = contentOf(disk.afterCrash(mode, seed), '/a');
        assert.ok(content === 'old' || content === 'new', `step ${step}, ${mode}: ${content}`);
      }
    }
  }
});

void test('model: whatever is done, synced survives and keep-all shows what was seen', async () => {
  const name = fc.constantFrom('/a', '/b', '/f/a', '/f/b');
  const operation = fc.oneof(
    fc.record({ do: fc.constant('write' as const), path: name, text: fc.string({ maxLength: 5 }) }),
    fc.record({ do: fc.constant('rename' as const), path: name, to: name }),
    fc.record({ do: fc.constant('unlink' as const), path: name }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 20 }), fc.nat(), async (operations, seed) => {
      const disk = new FaultDisk();
      await disk.makeFolder('/f');
      const model = new Map<string, string>();
      for (const op of operations) {
        if (op.do === 'write') {
          await disk.write(op.path, [utf8(op.text)], { sync: true });
          model.set(op.path, op.text);
        } else if (op.do === 'unlink') {
          assert.equal(await disk.unlink(op.path), model.delete(op.path));
        } else if (model.has(op.path)) {
          await disk.rename(op.path, op.to);
          const text = model.get(op.path) ?? '';
          model.delete(op.path);
          model.set(op.to, text);
        }
      }
      const expected = [...model].sort(([x], [y]) => (x < y ? -1 : 1));
      const stateOf = (found: FaultDisk) => found.files().map((path) => [path, contentOf(found, path)]);
      assert.deepEqual(stateOf(disk), expected);
      assert.deepEqual(stateOf(disk.afterCrash('keep-all')), expected);
      await disk.syncFolder('/');
      await disk.syncFolder('/f');
      assert.deepEqual(stateOf(disk.afterCrash('lose-unsynced')), expected);
      assert.deepEqual(stateOf(disk.afterCrash('mixed', seed)), expected);
    }),
  );
});
