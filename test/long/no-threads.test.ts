import { test } from 'node:test';
import { worksWithoutThreads } from '../support/no-threads.ts';

test('threads that die at their start: backup, restore and check do all in this one, and say so once', (t) =>
  worksWithoutThreads(t, new URL('data:text/javascript,throw new Error("no more memory")')));
