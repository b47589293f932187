import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { KithError, isKithError } from '../../lib/base/errors.ts';
import { ApiClient } from '../../lib/api/client.ts';
import { requestBytesMax } from '../../lib/api/messages.ts';
import { performCall } from '../../lib/api/methods.ts';
import { RemoteVault } from '../../lib/api/remote-vault.ts';
import { ApiServer } from '../../lib/api/server.ts';
import { fakeVault, gate } from '../support/fake-vault.ts';
import { Seeded } from '../support/seeded.ts';
import { tempFolder } from '../support/temp-folder.ts';
import type { BackupOptions, ListedEntry, Problem, Progress, VaultApi } from '../../lib/vault/types.ts';
import { atEnd } from '../support/at-end.ts';

const about = { api: 1, version: '1.2.3', pid: process.pid, id: 'ab'.repeat(32), name: 'tess' };

interface Served {
  readonly path: string;
  readonly server: ApiServer;
  readonly client: ApiClient;
  readonly vault: RemoteVault;
}

async function serve(test: TestContext, methods: Partial<VaultApi>): Promise<Served> {
  const path = join(await tempFolder(test), 'daemon.sock');
  const vault = fakeVault(methods);
  const server = await ApiServer.listen(path, {
    about,
    perform: (call) => performCall(vault, call),
    onDown: () => undefined,
  });
  atEnd(test, () => server.close());
  const client = new ApiClient(path);
  return { path, server, client, vault: new RemoteVault(client, about) };
}

const entry: ListedEntry = {
  path: '/a',
  type: 'file',
  mode: 0o644,
  uid: 1,
  gid: 2,
  user: null,
  group: 'g',
  bytes: 3,
  mtimeNs: 123456789012345678n,
  linkTarget: null,
  error: null,
};

async function raw(
  path: string,
  verb: string,
  url: string,
  body?: string,
): Promise<{ status: number; text: string }> {
  const asked = request({ socketPath: path, method: verb, path: url, agent: false });
  asked.on('error', () => undefined);
  asked.end(body);
  const [answer] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
  let text = '';
  for await (const part of answer.setEncoding('utf8') as AsyncIterable<string>) text += part;
  return { status: answer.statusCode ?? 0, text };
}

describe('the API over its socket', { skip: process.platform === 'win32' }, () => {
  it('hands on the rates that a command was given, and refuses what is none', async (test) => {
    const path = join(await tempFolder(test), 'daemon.sock');
    const seen: unknown[] = [];
    const server = await ApiServer.listen(path, {
      about,
      perform: (call) => Promise.resolve(void seen.push(call.limits)),
      onDown: () => undefined,
    });
    atEnd(test, () => server.close());
    const client = new ApiClient(path);
    await client.call('friendList', []);
    client.limits = { upload: '2MB', download: 'none' };
    await client.call('friendList', []);
    client.limits = { upload: 'fast' };
    await assert.rejects(client.call('friendList', []), (error) => isKithError(error, 'usage'));
    const { text } = await raw(path, 'POST', '/v1/call/friendList', '{"args":[],"limits":{"upload":5}}');
    assert.match(text, /malformed/);
    assert.deepEqual(seen, [{}, { upload: '2MB', download: 'none' }]);
  });

  it('gives results, progress, problems and items as if the vault were here', async (test) => {
    const progress: Progress = {
      phase: 'read',
      filesDone: 1,
      filesTotal: undefined,
      bytesDone: 2,
      bytesTotal: 5,
      current: 'x',
    };
    const problem: Problem = { item: '/a\n', message: 'bad', code: 'source-unreadable' };
    const item = { action: 'new', path: '/a', bytes: 2 };
    let got: BackupOptions | undefined;
    const { vault, path } = await serve(test, {
      backup: (options) => {
        got = options;
        options.onProgress?.(progress);
        options.onProblem?.(problem);
        options.onItem?.(item);
        return Promise.resolve({ snapshotId: null, stages: { read: 1.5 } } as never);
      },
      status: () => Promise.resolve({ lastComplete: 99n, friends: [] } as never),
    });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const told: unknown[] = [];
    const summary = await vault.backup({
      paths: ['/a'],
      spread: { k: 2, n: 3 },
      onProgress: (value) => told.push(value),
      onProblem: (value) => told.push(value),
      onItem: (value) => told.push(value),
    });
    assert.deepEqual(told, [progress, problem, item]);
    assert.deepEqual(summary, { snapshotId: null, stages: { read: 1.5 } });
    assert.deepEqual(got?.paths, ['/a']);
    assert.deepEqual(got?.spread, { k: 2, n: 3 });
    assert.equal((await vault.status()).lastComplete, 99n);
    await vault.backup({ paths: ['/a'] });
    assert.equal(got?.onItem, undefined, 'items are only sent to those who listen');
  });

  it('gives errors back with their code, details and message', async (test) => {
    const { vault } = await serve(test, {
      where: () =>
        Promise.reject(
          new KithError('not-restorable', 'bring b', { details: { away: ['b'], packsLost: 0 } }),
        ),
      card: () => Promise.reject(new TypeError('x is not a function')),
    });
    await assert.rejects(vault.where('latest'), (error) => {
      assert.ok(isKithError(error, 'not-restorable'));
      assert.deepEqual(error.details, { away: ['b'], packsLost: 0 });
      assert.equal(error.message, 'bring b');
      assert.equal(error.exitCode, 5);
      return true;
    });
    await assert.rejects(vault.card(), (error) => isKithError(error, 'internal'));
  });

  it('tells an error also where its details have no place in JSON', async (test) => {
    const { vault } = await serve(test, {
      where: ({ length }) =>
        Promise.reject(new KithError('failed', 'odd', { details: { rate: length / 0 } })),
      repair: ({ onProgress } = {}) => {
        onProgress?.({
          phase: 'repair',
          filesDone: Number.NaN,
          filesTotal: 1,
          bytesDone: 0,
          bytesTotal: 1,
          current: 'x',
        });
        return Promise.resolve({ packsChecked: 1 } as never);
      },
      card: () => Promise.resolve(Number.NaN as never),
    });
    await assert.rejects(
      vault.where('latest'),
      (error) => isKithError(error, 'failed') && error.message === 'odd',
    );
    assert.deepEqual(await vault.repair({ onProgress: () => assert.fail('was told') }), { packsChecked: 1 });
    await assert.rejects(vault.card(), (error) => isKithError(error, 'internal'));
  });

  it('drops what a client that does not read would be told, and says so in the end', async (test) => {
    const all = gate();
    const { path } = await serve(test, {
      backup: ({ onItem }) => {
        const item = { action: 'new', path: '/'.padEnd(10_000, 'x'), bytes: 1 };
        for (let index = 0; index < 2000; index++) onItem?.(item);
        all.open();
        return Promise.resolve({ state: 'complete' } as never);
      },
    });
    const asked = request({ socketPath: path, method: 'POST', path: '/v1/call/backup', agent: false });
    asked.end('{"args":[{"paths":["/a"]}],"items":true}');
    const [answer] = (await once(asked, 'response')) as [import('node:http').IncomingMessage];
    await all.passed;
    let text = '';
    for await (const part of answer.setEncoding('utf8') as AsyncIterable<string>) text += part;
    assert.ok(text.length < 5_000_000, `${text.length} characters were kept`);
    const lines = text.trimEnd().split('\n');
    assert.match(lines.at(-2) ?? '', /"problem".*\d+ messages were left out/);
    assert.match(lines.at(-1) ?? '', /"result"/);
  });

  it('streams entries as they are taken, and ends the walk when the reader leaves', async (test) => {
    let given = 0;
    const ended = gate();
    const { vault } = await serve(test, {
      async *list() {
        try {
          for (; ; given++) yield { ...entry, path: `/${'x'.repeat(10_000)}/${given}` };
        } finally {
          ended.open();
        }
      },
    });
    let taken = 0;
    for await (const each of vault.list('latest')) {
      assert.equal(each.mtimeNs, entry.mtimeNs);
      if (++taken === 10) break;
    }
    await ended.passed;
    assert.ok(given < 10_000, `${given} entries were made for ten`);
  });

  it('cancels an operation when the signal fires, and waits for its end', async (test) => {
    const begun = gate();
    const { vault } = await serve(test, {
      backup: async ({ signal, onProblem }) => {
        begun.open();
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        onProblem?.({ item: 'x', message: 'what was stored is kept', code: 'pending' });
        throw signal?.reason;
      },
    });
    const controller = new AbortController();
    const problems: Problem[] = [];
    const ended = vault.backup({
      paths: ['/a'],
      signal: controller.signal,
      onProblem: (problem) => problems.push(problem),
    });
    await begun.passed;
    controller.abort(new Error('not sent over'));
    await assert.rejects(ended, (error) => isKithError(error, 'interrupted'));
    assert.equal(problems.length, 1);
    await assert.rejects(
      vault.backup({ paths: ['/a'], signal: controller.signal }),
      (error) => isKithError(error, 'interrupted'),
      'a signal that has fired already',
    );
  });

  it('cancels an operation whose client is gone', async (test) => {
    const begun = gate();
    const cancelled = gate();
    const { path } = await serve(test, {
      repair: async ({ signal } = {}) => {
        signal?.addEventListener('abort', cancelled.open);
        begun.open();
        await cancelled.passed;
        throw new KithError('interrupted', 'as asked');
      },
    });
    const asked = request({ socketPath: path, method: 'POST', path: '/v1/call/repair', agent: false });
    asked.on('error', () => undefined);
    asked.end('{"args":[]}');
    await begun.passed;
    asked.destroy();
    await cancelled.passed;
  });

  it('refuses what it does not know or can not take, with typed errors', async (test) => {
    const { path, vault, server } = await serve(test, { card: () => Promise.resolve('kith:card:x') });
    const codeOf = (text: string): unknown => (JSON.parse(text) as { code: unknown }).code;
    const cases: [string, string, string | undefined, number, string][] = [
      ['POST', '/v1/call/explode', '{"args":[]}', 404, 'malformed'],
      ['POST', '/v1/call/close', '{"args":[]}', 404, 'malformed'],
      ['POST', '/v1/call/__proto__', '{"args":[]}', 404, 'malformed'],
      ['POST', '/v1/call/constructor', '{"args":[]}', 404, 'malformed'],
      ['GET', '/v1/call/card', undefined, 404, 'malformed'],
      ['POST', '/v1/cancel/none', undefined, 404, 'malformed'],
      ['POST', '/../etc/passwd', undefined, 404, 'malformed'],
      ['POST', '/v1/call/card', '{"args":', 400, 'malformed'],
      ['POST', '/v1/call/card', '[]', 400, 'malformed'],
      ['POST', '/v1/call/card', '{"args":[1]}', 400, 'malformed'],
      ['POST', '/v1/call/backup', '{"args":[{"paths":["relative"]}]}', 400, 'malformed'],
      ['POST', '/v1/call/backup', '{"args":[{"paths":["/a"],"onItem":1}]}', 400, 'malformed'],
      ['POST', '/v1/call/backup', '{"args":[{}]}', 400, 'malformed'],
      [
        'POST',
        '/v1/call/restore',
        '{"args":[{"what":"x","target":"/t","overwrite":"maybe"}]}',
        400,
        'malformed',
      ],
      ['POST', '/v1/call/friendShow', '{"args":[]}', 400, 'malformed'],
      ['POST', '/v1/call/driveAdd', '{"args":[{"path":"/a\\u0000b"}]}', 400, 'malformed'],
      ['POST', '/v1/call/driveAdd', '{"args":[{"path":"/a","quotaBytes":-1}]}', 400, 'malformed'],
      ['POST', '/v1/call/card', `{"args":["${'x'.repeat(requestBytesMax)}"]}`, 413, 'limit-exceeded'],
    ];
    for (const [verb, url, body, status, code] of cases) {
      const answer = await raw(path, verb, url, body);
      assert.equal(answer.status, status, `${verb} ${url} ${body?.slice(0, 60)}: ${answer.text}`);
      assert.equal(codeOf(answer.text), code, `${verb} ${url}`);
    }
    assert.equal(await vault.card(), 'kith:card:x');
    assert.equal(server.callCount, 0);
  });

  it('survives junk', async (test) => {
    const { path, client } = await serve(test, {});
    const seeded = new Seeded(3);
    const beginnings = [
      '',
      'GET /v1/version HTTP/1.1\r\n',
      'POST /v1/call/backup HTTP/1.1\r\ncontent-length: 5\r\n\r\n',
    ];
    for (let round = 0; round < 60; round++) {
      const socket = connect(path);
      socket.on('error', () => undefined);
      socket.resume();
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.write(beginnings[round % beginnings.length] ?? '');
      socket.end(seeded.bytes(seeded.below(3000)));
      await closed;
    }
    assert.deepEqual(await client.about(), about);
  });

  it('takes so many calls at a time and no more', async (test) => {
    const all = gate();
    const begun = gate();
    let count = 0;
    const { vault } = await serve(test, {
      driveList: async () => {
        if (++count === 64) begun.open();
        await all.passed;
        return [];
      },
    });
    const calls = Array.from({ length: 64 }, () => vault.driveList());
    await begun.passed;
    await assert.rejects(vault.driveList(), (error) => isKithError(error, 'limit-exceeded'));
    all.open();
    await Promise.all(calls);
    assert.deepEqual(await vault.driveList(), []);
  });

  it('on closing cancels what runs, answers it, and leaves no socket', async (test) => {
    const begun = gate();
    const { vault, server, path, client } = await serve(test, {
      repair: async ({ signal } = {}) => {
        begun.open();
        await new Promise((resolve) => signal?.addEventListener('abort', resolve));
        throw signal?.reason;
      },
    });
    const ended = assert.rejects(vault.repair(), (error) => {
      assert.ok(isKithError(error, 'interrupted'));
      return /daemon is ending/.test(error.message);
    });
    await begun.passed;
    // Half a request is no reason to stay.
    const half = connect(path);
    half.on('error', () => undefined);
    await once(half, 'connect');
    half.write('POST /v1/call/card HTTP/1.1\r\n');
    await server.close();
    await ended;
    await assert.rejects(stat(path));
    await assert.rejects(client.about(), /no kith daemon is running/);
  });
});
