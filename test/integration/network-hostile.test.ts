import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8 } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { bodyBudgetBytes, bodyBudgetBytesPerPeer, BulkBudget } from '../../lib/net/calls/bulk-budget.ts';
import {
  callCountMax,
  callKind,
  decodeCall,
  decodeCredit,
  decodeFailure,
  decodeReply,
  encodeCall,
  encodeCallId,
  encodeCredit,
  encodeData,
  encodeFailure,
  encodeReply,
} from '../../lib/net/calls/call-codec.ts';
import type { CallMessage } from '../../lib/net/calls/call-codec.ts';
import { queueMsMax } from '../../lib/net/calls/call-client.ts';
import { encodeOffers } from '../../lib/net/sessions/hello.ts';
import { bulkMessageBytes, callBodyBytesMax, replyBodyBytesMax } from '../../lib/net/service.ts';
import { turns, until } from '../support/net-peers.ts';
import { noise } from '../support/noise.ts';
import { rawFriendWithCalls } from '../support/raw-calls.ts';
import type { RawFriend } from '../support/raw-calls.ts';
import { Seeded } from '../support/seeded.ts';

const empty = new Uint8Array(0);

const call = (changes: Partial<CallMessage> = {}): Uint8Array =>
  encodeCall({ id: 1, method: 0, uploadBytes: 0, downloadBytesMax: 0, body: empty, ...changes });

/** The session has ended, and nothing else: the process goes on, timers and budgets are free. */
async function thrownOut({ us, raw }: RawFriend): Promise<void> {
  await until(() => raw.ended, 'the end of the session');
  assert.equal(us.network.peers().length, 0);
  assert.equal(us.timers.pending, 0);
}

async function answer(friend: RawFriend, kind: number): Promise<Uint8Array> {
  const found = (): Uint8Array | undefined => friend.answers.find((message) => message.kind === kind)?.bytes;
  await until(() => found() !== undefined || friend.raw.ended, `answer ${kind}`);
  return found() ?? assert.fail('the session ended');
}

void describe('a caller that breaks the rules', () => {
  void it('may call when it keeps them', async (test) => {
    const friend = await rawFriendWithCalls(test);
    friend.calling.send(callKind.call, call({ body: utf8('hi') }));
    assert.deepEqual(decodeReply(await answer(friend, callKind.reply)).body, utf8('hi'));
  });

  const cases: [string, (friend: RawFriend) => Promise<void> | void][] = [
    [
      'bulk bytes without credit',
      ({ calling }) => {
        calling.send(callKind.call, call({ method: 2, uploadBytes: 10 }));
        calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1) }));
      },
    ],
    [
      'more bulk bytes than credit',
      async (friend) => {
        friend.calling.send(callKind.call, call({ uploadBytes: 10 }));
        assert.deepEqual(decodeCredit(await answer(friend, callKind.credit)), { id: 1, bytes: 10 });
        friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(11) }));
      },
    ],
    [
      'bulk bytes after the last',
      async (friend) => {
        friend.calling.send(callKind.call, call({ uploadBytes: 10 }));
        await answer(friend, callKind.credit);
        const data = encodeData({ id: 1, bytes: new Uint8Array(10) });
        friend.calling.send(callKind.data, data);
        friend.calling.send(callKind.data, data);
      },
    ],
    [
      'bulk bytes of an unknown call',
      ({ calling }) => void calling.send(callKind.data, encodeData({ id: 5, bytes: new Uint8Array(1) })),
    ],
    [
      'the same call again',
      async (friend) => {
        friend.calling.send(callKind.call, call());
        await answer(friend, callKind.reply);
        friend.calling.send(callKind.call, call());
      },
    ],
    ['a call out of turn', ({ calling }) => void calling.send(callKind.call, call({ id: 2 }))],
    ['a cancel for a call never made', ({ calling }) => void calling.send(callKind.cancel, encodeCallId(1))],
    [
      'a cancel twice',
      (friend) => {
        // The handler holds on, so that the call is still there.
        friend.us.echo.holding = new Promise(() => {});
        friend.calling.send(callKind.call, call());
        friend.calling.send(callKind.cancel, encodeCallId(1));
        friend.calling.send(callKind.cancel, encodeCallId(1));
      },
    ],
    [
      'a reply on a channel for calls',
      ({ calling }) =>
        void calling.send(callKind.reply, encodeReply({ id: 1, downloadBytes: 0, body: empty })),
    ],
    [
      'a failure there',
      ({ calling }) =>
        void calling.send(callKind.failure, encodeFailure({ id: 1, code: 'failed', words: '', details: [] })),
    ],
    ['credit there', ({ calling }) => void calling.send(callKind.credit, encodeCredit({ id: 1, bytes: 1 }))],
    ['a sign of life there', ({ calling }) => void calling.send(callKind.alive, encodeCallId(1))],
    [
      'one call too many at once',
      async ({ us, calling, raw }) => {
        for (let id = 1; id <= callCountMax; id++) calling.send(callKind.call, call({ id, method: 2 }));
        await until(() => us.echo.calls.length > 0);
        await turns();
        assert.equal(raw.ended, false);
        calling.send(callKind.call, call({ id: callCountMax + 1, method: 2 }));
      },
    ],
    [
      'offers that are older',
      ({ raw }) => void raw.hello.send(1, encodeOffers({ moment: 2, services: [], extensions: [] })),
    ],
    [
      'offers without end',
      async ({ raw }) => {
        for (let moment = 3; moment < 1100; moment++) raw.sayOffers([], moment);
        await turns();
      },
    ],
    ['junk offers', ({ raw }) => void raw.hello.send(1, noise(1, 100))],
    ['a junk goodbye', ({ raw }) => void raw.hello.send(2, noise(1, 100))],
    ['a junk ping', ({ raw }) => void raw.hello.send(3, noise(1, 3))],
    ['a message that is too long', ({ calling }) => void calling.send(9, new Uint8Array(2 ** 20))],
    ['a batch', ({ raw }) => void raw.link.stream.write(new Uint8Array([0, 0, 1, 2, 3, 4]))],
    ['nonsense for Protomux', ({ raw }) => void raw.link.stream.write(new Uint8Array([0, 1, 99, 1, 97]))],
  ];
  for (const [name, attack] of cases) {
    void it(`is thrown out for ${name}`, async (test) => {
      const friend = await rawFriendWithCalls(test);
      await attack(friend);
      await thrownOut(friend);
    });
  }

  void it('is thrown out for junk on every kind of message', async (test) => {
    for (let kind = 0; kind <= 6; kind++) {
      for (const junk of [empty, new Uint8Array(9).fill(0xff), noise(kind, 200)]) {
        const friend = await rawFriendWithCalls(test);
        friend.calling.send(kind, junk);
        await thrownOut(friend);
      }
    }
  });

  void it('is survived whatever it sends', async (test) => {
    const seeded = new Seeded(11);
    for (let round = 0; round < 60; round++) {
      const friend = await rawFriendWithCalls(test);
      for (let i = 0; i < 20 && !friend.raw.ended; i++) {
        const channel = seeded.coin() ? friend.calling : friend.serving;
        channel.send(seeded.below(8), seeded.bytes(seeded.below(12)));
        if (seeded.coin()) friend.raw.link.stream.write(seeded.bytes(1 + seeded.below(12)));
        await turns(2);
      }
      await friend.raw.link.close();
      await thrownOut(friend);
    }
  });

  void it('may send what was granted after the answer, or cancel instead; both end it', async (test) => {
    for (const cancels of [true, false]) {
      const friend = await rawFriendWithCalls(test);
      // The upload stands still for too long: the call fails, its credit is still out.
      friend.calling.send(callKind.call, call({ uploadBytes: 10 }));
      await answer(friend, callKind.credit);
      friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(4) }));
      await turns();
      friend.us.timers.advance(60_000);
      assert.equal(decodeFailure(await answer(friend, callKind.failure)).code, 'failed');
      if (cancels) friend.calling.send(callKind.cancel, encodeCallId(1));
      else friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(6) }));
      await turns();
      assert.equal(friend.raw.ended, false);
      friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1) }));
      await thrownOut(friend);
    }
  });

  void it('has its cancelled calls counted until their handlers have ended', async (test) => {
    const friend = await rawFriendWithCalls(test, { budgets: { bodies: new BulkBudget(2 ** 30) } });
    friend.us.echo.holding = new Promise(() => {});
    for (let id = 1; id <= callCountMax; id++) {
      friend.calling.send(callKind.call, call({ id }));
      friend.calling.send(callKind.cancel, encodeCallId(id));
    }
    await until(() => friend.us.echo.calls.length === callCountMax);
    assert.equal(friend.raw.ended, false);
    friend.calling.send(callKind.call, call({ id: callCountMax + 1 }));
    await thrownOut(friend);
  });

  void it('does not get around that by opening the channel again', async (test) => {
    const friend = await rawFriendWithCalls(test);
    let finish = (): void => {};
    friend.us.echo.holding = new Promise<void>((resolve) => {
      finish = resolve;
    });
    friend.calling.send(callKind.call, call());
    await until(() => friend.us.echo.calls.length === 1);
    const reopen = async (): Promise<boolean> => {
      let closed = false;
      const answers: { kind: number; bytes: Uint8Array }[] = [];
      const channel = friend.raw.open('kith/echo/1', 1, answers, () => {
        closed = true;
      });
      friend.us.echo.holding = undefined;
      channel?.send(callKind.call, call());
      await until(() => closed || answers.length > 0);
      return !closed;
    };
    friend.calling.close();
    assert.equal(await reopen(), false);
    assert.equal(friend.us.echo.calls.length, 1);
    assert.equal(friend.us.echo.calls[0]?.signal.aborted, true);
    finish();
    await turns();
    assert.equal(await reopen(), true);
    assert.equal(friend.raw.ended, false);
  });

  void it('is not heard any more once its session has ended', async (test) => {
    const friend = await rawFriendWithCalls(test);
    friend.calling.send(callKind.call, call({ uploadBytes: 10 }));
    await answer(friend, callKind.credit);
    friend.wire.setAutomatic(false);
    friend.calling.send(callKind.call, call({ id: 2 }));
    friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(10) }));
    const them = friend.us.network.peers()[0]?.deviceId ?? empty;
    friend.us.directory.forget(them);
    friend.us.network.refresh();
    while (friend.wire.deliver('initiator'));
    await turns();
    assert.equal(friend.us.echo.calls.length, 1);
    assert.ok(friend.us.echo.calls[0]?.signal.aborted);
    await thrownOut(friend);
  });

  void it('is not answered faster than it reads', async (test) => {
    const friend = await rawFriendWithCalls(test);
    friend.wire.setAutomatic(false);
    const uploads = 8;
    const bytes = 2 ** 20;
    for (let id = 1; id <= uploads; id++) {
      friend.calling.send(callKind.call, call({ id, uploadBytes: bytes, downloadBytesMax: bytes }));
    }
    // The test's side sends all it may, and takes only what it must: credits.
    const drainOurs = async (): Promise<void> => {
      while (friend.wire.deliver('initiator')) await turns(2);
    };
    await drainOurs();
    while (friend.wire.queuedBytes('responder') < 1000 && friend.wire.deliver('responder')) await turns(2);
    for (let id = 1; id <= uploads; id++) {
      for (let sent = 0; sent < bytes; sent += bulkMessageBytes) {
        friend.calling.send(callKind.data, encodeData({ id, bytes: new Uint8Array(bulkMessageBytes) }));
      }
    }
    await drainOurs();
    await turns(100);
    assert.equal(friend.us.echo.calls.length, uploads);
    assert.equal(friend.raw.ended, false);
    // Eight answers of 1 MiB wait; of them a few messages are in the stream.
    const queued = friend.wire.queuedBytes('responder');
    assert.ok(queued > 0 && queued <= 3 * (bulkMessageBytes + 100), `${queued} bytes`);
    friend.us.timers.advance(60_000);
    await thrownOut(friend);
  });

  void it('that floods pings gets one answer at a time', async (test) => {
    const friend = await rawFriendWithCalls(test);
    friend.wire.setAutomatic(false);
    const before = friend.wire.queuedBytes('responder');
    for (let i = 0; i < 1000; i++) {
      friend.raw.hello.send(3, new Uint8Array([i & 255, i >> 8, 0, 0]));
      friend.wire.deliver('initiator');
    }
    assert.ok(friend.wire.queuedBytes('responder') - before < 100);
  });
});

void describe('a friend that serves and breaks the rules', () => {
  /** Ours calls the test's side; the answer is the test's. */
  async function called(
    test: { after(work: () => Promise<void>): void },
    options: { upload?: Uint8Array[]; downloadBytesMax?: number } = {},
  ): Promise<RawFriend & { result: Promise<unknown> }> {
    const friend = await rawFriendWithCalls(test);
    const identity = friend.us.network.peers()[0]?.identity ?? empty;
    const result = friend.us.network.caller(identity, 'kith/echo').call(7, utf8('q'), options);
    result.catch(() => {});
    await until(() => friend.calls.length > 0, 'the call');
    const message = decodeCall(friend.calls[0]?.bytes ?? empty);
    assert.equal(message.id, 1);
    assert.equal(message.method, 7);
    return { ...friend, result };
  }

  const unavailable = (error: unknown): boolean => isKithError(error, 'holder-unavailable');
  const reply = (changes: Partial<ReturnType<typeof decodeReply>> = {}): Uint8Array =>
    encodeReply({ id: 1, downloadBytes: 0, body: empty, ...changes });

  const cases: [string, (friend: RawFriend) => void][] = [
    [
      'a download that was not asked for',
      ({ serving }) => void serving.send(callKind.reply, reply({ downloadBytes: 101 })),
    ],
    [
      'more bulk bytes than it announced',
      ({ serving }) => {
        serving.send(callKind.reply, reply({ downloadBytes: 10 }));
        serving.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(11) }));
      },
    ],
    [
      'bulk bytes before the reply',
      ({ serving }) => void serving.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1) })),
    ],
    [
      'two replies',
      ({ serving }) => {
        serving.send(callKind.reply, reply({ downloadBytes: 10 }));
        serving.send(callKind.reply, reply({ downloadBytes: 10 }));
      },
    ],
    ['an answer to another call', ({ serving }) => void serving.send(callKind.reply, reply({ id: 2 }))],
    [
      'more credit than was offered',
      ({ serving }) => void serving.send(callKind.credit, encodeCredit({ id: 1, bytes: 51 })),
    ],
    ['a call on a channel for answers', ({ serving }) => void serving.send(callKind.call, call())],
    ['a cancel there', ({ serving }) => void serving.send(callKind.cancel, encodeCallId(1))],
    ['life in an unknown call', ({ serving }) => void serving.send(callKind.alive, encodeCallId(9))],
  ];
  for (const [name, attack] of cases) {
    void it(`is let go for ${name}`, async (test) => {
      const friend = await called(test, { upload: [new Uint8Array(50)], downloadBytesMax: 100 });
      attack(friend);
      await assert.rejects(friend.result, unavailable);
      await thrownOut(friend);
    });
  }

  void it('is let go for a final message said twice', async (test) => {
    const friend = await called(test);
    friend.serving.send(callKind.reply, reply());
    await friend.result;
    friend.serving.send(callKind.reply, reply());
    await thrownOut(friend);
  });

  void it('gets no byte of an upload before its credit, and not one more', async (test) => {
    const friend = await called(test, { upload: [noise(1, 50)] });
    const sent = (): Uint8Array[] =>
      friend.calls.filter(({ kind }) => kind === callKind.data).map(({ bytes }) => bytes);
    await turns();
    assert.deepEqual(sent(), []);
    friend.serving.send(callKind.credit, encodeCredit({ id: 1, bytes: 20 }));
    await turns();
    friend.serving.send(callKind.credit, encodeCredit({ id: 1, bytes: 30 }));
    await turns();
    assert.deepEqual(sent(), [
      encodeData({ id: 1, bytes: noise(1, 50).subarray(0, 20) }),
      encodeData({ id: 1, bytes: noise(1, 50).subarray(20) }),
    ]);
    friend.serving.send(callKind.reply, reply());
    await friend.result;
  });

  void it('that answers before it has taken all is spared the rest, and told so', async (test) => {
    const friend = await called(test, { upload: [new Uint8Array(4 * 2 ** 20)] });
    friend.wire.setAutomatic(false);
    friend.serving.send(callKind.credit, encodeCredit({ id: 1, bytes: 4 * 2 ** 20 }));
    friend.serving.send(
      callKind.failure,
      encodeFailure({ id: 1, code: 'disk-full', words: 'full', details: [] }),
    );
    while (friend.wire.deliver('initiator')) await turns(1);
    await assert.rejects(friend.result, (error) => isKithError(error, 'disk-full'));
    friend.wire.setAutomatic(true);
    await until(() => friend.calls.at(-1)?.kind === callKind.cancel, 'the cancel');
    await turns();
    const pieces = friend.calls.filter(({ kind }) => kind === callKind.data).length;
    assert.ok(pieces < 5, `${pieces} pieces`);
    assert.equal(friend.calls.at(-1)?.kind, callKind.cancel);
  });

  void it('is given up when it falls silent, and let go when it stays so', async (test) => {
    const friend = await called(test);
    friend.us.timers.advance(29_000);
    friend.serving.send(callKind.alive, encodeCallId(1));
    await turns();
    friend.us.timers.advance(29_999);
    await turns();
    assert.equal(friend.us.network.peers().length, 1);
    friend.us.timers.advance(1);
    await assert.rejects(
      friend.result,
      (error) => isKithError(error, 'holder-unavailable') && /silent/.test(error.message),
    );
    await until(() => friend.calls.some(({ kind }) => kind === callKind.cancel), 'the cancel');
    assert.equal(friend.raw.ended, false);
    friend.us.timers.advance(30_000);
    await thrownOut(friend);
  });

  /** Says that it works on all calls that it got, every 5 s for so long; true if the session is still there. */
  async function onlyAlive(friend: RawFriend, ms: number): Promise<boolean> {
    for (let passedMs = 0; passedMs < ms && !friend.raw.ended; passedMs += 5_000) {
      friend.us.timers.advance(5_000);
      for (const { kind, bytes } of friend.calls.slice()) {
        if (kind === callKind.call) friend.serving.send(callKind.alive, encodeCallId(decodeCall(bytes).id));
      }
      await turns(4);
    }
    return !friend.raw.ended;
  }

  void it('may work on a call for two minutes, and not for ever', async (test) => {
    const friend = await called(test);
    assert.ok(await onlyAlive(friend, 115_000));
    assert.ok(!friend.calls.some(({ kind }) => kind === callKind.cancel));
    assert.ok(await onlyAlive(friend, 10_000));
    await assert.rejects(friend.result, unavailable);
    assert.ok(friend.calls.some(({ kind }) => kind === callKind.cancel));
    assert.ok(await onlyAlive(friend, 110_000), 'its handler may take a while to end');
    await onlyAlive(friend, 20_000);
    await thrownOut(friend);
  });

  void it('has two minutes more whenever something moved', async (test) => {
    const friend = await called(test, { upload: [new Uint8Array(50)], downloadBytesMax: 2 });
    assert.ok(await onlyAlive(friend, 110_000));
    friend.serving.send(callKind.credit, encodeCredit({ id: 1, bytes: 50 }));
    assert.ok(await onlyAlive(friend, 110_000));
    friend.serving.send(callKind.reply, reply({ downloadBytes: 2 }));
    assert.ok(await onlyAlive(friend, 110_000));
    friend.serving.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1) }));
    assert.ok(await onlyAlive(friend, 110_000));
    friend.serving.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1) }));
    await friend.result;
  });

  void it('is let go when a cancelled call has no end but a trickle', async (test) => {
    const friend = await rawFriendWithCalls(test);
    const identity = friend.us.network.peers()[0]?.identity ?? empty;
    const cancel = new AbortController();
    const options = { signal: cancel.signal, downloadBytesMax: 1000 };
    const result = friend.us.network.caller(identity, 'kith/echo').call(7, empty, options);
    await until(() => friend.calls.length === 1);
    friend.serving.send(callKind.reply, reply({ downloadBytes: 1000 }));
    friend.us.timers.advance(29_000);
    cancel.abort();
    await assert.rejects(result, (error) => isKithError(error, 'interrupted'));
    await until(() => friend.calls.length === 2);
    friend.us.timers.advance(5_000);
    await turns();
    assert.equal(friend.raw.ended, false, 'the time before the cancel is not held against it');
    for (let i = 0; i < 30 && !friend.raw.ended; i++) {
      friend.serving.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1) }));
      await turns(4);
      friend.us.timers.advance(5_000);
      await turns(4);
    }
    await thrownOut(friend);
  });

  void it('keeps no call waiting for its turn for ever', async (test) => {
    const friend = await rawFriendWithCalls(test);
    const identity = friend.us.network.peers()[0]?.identity ?? empty;
    const echo = friend.us.network.caller(identity, 'kith/echo');
    const outcomes: string[] = [];
    const results = Array.from({ length: callCountMax + 1 }, () => {
      const result = echo.call(7, empty, { downloadBytesMax: 1000 });
      return result.catch((error: unknown) => outcomes.push(String(error)));
    });
    await until(() => friend.calls.length === callCountMax);
    for (let id = 1; id <= callCountMax; id++) {
      friend.serving.send(callKind.reply, reply({ id, downloadBytes: 1000 }));
    }
    // Each call moves: a byte at a time.
    for (let passedMs = 0; passedMs < queueMsMax; passedMs += 20_000) {
      assert.equal(outcomes.length, 0);
      for (let id = 1; id <= callCountMax; id++) {
        friend.serving.send(callKind.data, encodeData({ id, bytes: new Uint8Array(1) }));
      }
      await turns(100);
      friend.us.timers.advance(20_000);
    }
    await until(() => outcomes.length > 0);
    assert.equal(outcomes.length, 1);
    assert.match(outcomes[0] ?? '', /too many calls/);
    assert.equal(friend.raw.ended, false);
    await friend.raw.link.close();
    await Promise.all(results);
    assert.equal(friend.us.timers.pending, 0);
  });

  void it('may answer a cancelled call late, and nothing is left of it', async (test) => {
    const friend = await rawFriendWithCalls(test);
    const identity = friend.us.network.peers()[0]?.identity ?? empty;
    const echo = friend.us.network.caller(identity, 'kith/echo');
    const { pending } = friend.us.timers;
    const cancel = new AbortController();
    const result = echo.call(7, empty, {
      signal: cancel.signal,
      upload: [new Uint8Array(50)],
      downloadBytesMax: 10,
    });
    await until(() => friend.calls.length === 1);
    cancel.abort();
    await assert.rejects(result, (error) => isKithError(error, 'interrupted'));
    await until(() => friend.calls.length === 2);
    assert.equal(friend.calls[1]?.kind, callKind.cancel);
    friend.serving.send(callKind.credit, encodeCredit({ id: 1, bytes: 50 }));
    friend.serving.send(callKind.reply, reply({ downloadBytes: 10 }));
    friend.serving.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(10) }));
    await turns();
    assert.equal(friend.raw.ended, false);
    assert.equal(friend.calls.length, 2);
    assert.equal(friend.us.timers.pending, pending);
  });

  void it('with a code that it may not speak of counts as away', async (test) => {
    const friend = await called(test);
    friend.serving.send(
      callKind.failure,
      encodeFailure({ id: 1, code: 'vault-missing', words: 'run rm\u001b[2J', details: [] }),
    );
    await assert.rejects(friend.result, (error) => unavailable(error) && !String(error).includes('\u001b'));
  });
});

void describe('memory for calls', () => {
  void it('bounds the bodies of one friend, those of replies included, however it calls', async (test) => {
    const bodies = new BulkBudget(bodyBudgetBytes, bodyBudgetBytesPerPeer);
    const friend = await rawFriendWithCalls(test, { budgets: { bodies } });
    let answerAll = (): void => {};
    friend.us.echo.holding = new Promise<void>((resolve) => {
      answerAll = resolve;
    });
    const body = new Uint8Array(callBodyBytesMax);
    for (let id = 1; id <= callCountMax; id++) friend.calling.send(callKind.call, call({ id, body }));
    await until(() => friend.us.echo.calls.length > 0);
    await turns();
    const atOnce = Math.floor(bodyBudgetBytesPerPeer / (callBodyBytesMax + replyBodyBytesMax));
    assert.equal(friend.us.echo.calls.length, atOnce);
    assert.ok(bodies.heldBytes <= bodyBudgetBytesPerPeer);
    answerAll();
    await until(() => friend.answers.filter(({ kind }) => kind === callKind.reply).length === callCountMax);
    await turns();
    assert.equal(bodies.heldBytes, 0);
  });

  void it('is not given back while a handler still works on it, whatever the caller does', async (test) => {
    const uploads = new BulkBudget();
    const bodies = new BulkBudget();
    const friend = await rawFriendWithCalls(test, { budgets: { uploads, bodies } });
    let finish = (): void => {};
    friend.us.echo.holding = new Promise<void>((resolve) => {
      finish = resolve;
    });
    friend.calling.send(callKind.call, call({ uploadBytes: 1000 }));
    await answer(friend, callKind.credit);
    friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1000) }));
    await turns();
    friend.wire.cut();
    await thrownOut(friend);
    await turns();
    assert.ok(friend.us.echo.calls[0]?.signal.aborted);
    assert.equal(uploads.heldBytes, 1000);
    assert.equal(bodies.heldBytes, replyBodyBytesMax);
    finish();
    await until(() => uploads.heldBytes === 0 && bodies.heldBytes === 0, 'the release');
  });

  void it('is free again when the session ends, in the middle of uploads and downloads', async (test) => {
    const uploads = new BulkBudget();
    const downloads = new BulkBudget();
    const friend = await rawFriendWithCalls(test, { budgets: { uploads, downloads } });
    for (let id = 1; id <= 6; id++) {
      friend.calling.send(
        callKind.call,
        call({ id, uploadBytes: 4 * 2 ** 20, downloadBytesMax: 3 * 2 ** 20 }),
      );
    }
    await answer(friend, callKind.credit);
    await turns();
    // A quarter of each is one peer's share.
    assert.equal(uploads.heldBytes, 16 * 2 ** 20);
    assert.equal(downloads.heldBytes, 15 * 2 ** 20);
    friend.calling.send(callKind.data, encodeData({ id: 1, bytes: new Uint8Array(1000) }));
    await turns();
    friend.wire.cut();
    await until(() => uploads.heldBytes === 0 && downloads.heldBytes === 0, 'the release');
    await thrownOut(friend);
    await turns();
    assert.equal(uploads.heldBytes + downloads.heldBytes, 0);
    assert.ok(friend.us.echo.calls.every(({ signal }) => signal.aborted));
  });

  void it('is free again when a call is cancelled before its bytes have come', async (test) => {
    const uploads = new BulkBudget();
    const friend = await rawFriendWithCalls(test, { budgets: { uploads } });
    friend.calling.send(callKind.call, call({ uploadBytes: 1000 }));
    await answer(friend, callKind.credit);
    assert.equal(uploads.heldBytes, 1000);
    friend.calling.send(callKind.cancel, encodeCallId(1));
    assert.equal(decodeFailure(await answer(friend, callKind.failure)).code, 'failed');
    assert.equal(uploads.heldBytes, 0);
    assert.equal(friend.raw.ended, false);
  });
});
