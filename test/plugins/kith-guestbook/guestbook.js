// A guestbook: friends who are granted `guestbook/notes` leave short notes here, and this side leaves one at each friend who comes
// online and grants it. An example of what docs/plugins.md describes; it needs nothing but Node.
import { appendFile, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

const service = 'guestbook/notes';
const noteBytesMax = 1000;
const bookBytesMax = 1_000_000;

/** Method numbers. Version 1 has only the first. */
const methods = { leave: 0, count: 1 };

/** @param {import('../../../lib/plugins/plugin.ts').PluginHost} host */
async function start(host) {
  const book = join(host.dataFolder, 'notes.jsonl');
  // One at a time: two notes that come together don't mix.
  let writing = Promise.resolve();

  async function leave(friendId, call) {
    if (call.body.length > noteBytesMax)
      throw host.error('limit-exceeded', `a note has at most ${noteBytesMax} bytes`);
    const note = new TextDecoder('utf-8', { fatal: false }).decode(call.body);
    const work = writing.then(async () => {
      const size = await stat(book).then(
        ({ size: bytes }) => bytes,
        () => 0,
      );
      if (size > bookBytesMax) throw host.error('quota-exceeded', 'the guestbook is full');
      await appendFile(book, `${JSON.stringify({ from: friendId, note })}\n`, { mode: 0o600 });
    });
    writing = work.catch(() => undefined);
    await work;
    return { body: new Uint8Array() };
  }

  async function count() {
    const text = await readFile(book, 'utf8').catch(() => '');
    return { body: new TextEncoder().encode(String(text.split('\n').length - 1)) };
  }

  host.onPresence((friendId, online) => {
    if (!online) return;
    greet(friendId).catch((error) => host.log('warn', `no note was left: ${error.message}`));
  });

  async function greet(friendId) {
    const caller = host.caller(friendId, service);
    if (!caller.connected) return;
    const words = `${host.name} was here`;
    await caller.call(methods.leave, new TextEncoder().encode(words), { signal: host.signal });
    host.log('info', `left a note: ${words}`);
  }

  return {
    services: [
      {
        name: service,
        versions: { min: 1, max: 2 },
        open: ({ friendId }, version) => ({
          async handle(call) {
            if (call.method === methods.leave) return await leave(friendId, call);
            if (call.method === methods.count && version >= 2) return await count();
            throw host.error('usage', `the guestbook has no method ${call.method}`);
          },
        }),
      },
    ],
    close: () => writing,
  };
}

export default { start };
