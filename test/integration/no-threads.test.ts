import { test } from 'node:test';
import { worksWithoutThreads } from '../support/no-threads.ts';

test('threads whose module is not there: backup, restore and check do all in this one, and say so once', (t) =>
  worksWithoutThreads(t, new URL('./no-such-thread.js', import.meta.url)));
