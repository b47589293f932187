#!/usr/bin/env node
/**
 * Where kith starts. Node reads and writes files on a few threads of libuv's pool, four unless told otherwise, and a write
 * that waits for the disk keeps one busy: sixteen let a backup to several drives wait for all of them at once. The number counts
 * only until the pool is first used, and Node has used it once it has loaded a module: hence CommonJS, and hence first.
 */

process.env['UV_THREADPOOL_SIZE'] ??= '16';

const { existsSync } = require('node:fs') as typeof import('node:fs');
// main.ts and all that it loads, in few files, where the build has made them.
const bundled = `${__dirname}/../bundle/main.cjs`;

// What main ends with counts. Were it never to end, leaving quietly would look like success.
process.exitCode = 13;
if (existsSync(bundled)) require(bundled);
else void import('./main.ts');
