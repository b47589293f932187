// The front door: `npm run demo`, `npm test` and their kin. Installs and builds what is missing or stale, then runs the job.
// Uses nothing but Node itself, so that it works in a fresh clone.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [job, ...args] = process.argv.slice(2);

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`kith needs Node 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}

// Ctrl-C reaches the child as well: wait for it to stop in good order and pass on how it ended.
process.on('SIGINT', () => {});

function run(command, commandArgs, options = {}) {
  const result = spawnSync(command, commandArgs, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) {
    console.error(`${command}: ${result.error.message}`);
    process.exit(1);
  }
  if (result.signal) process.kill(process.pid, result.signal);
  return result.status ?? 1;
}

function mtimeOf(path) {
  return existsSync(path) ? statSync(path).mtimeMs : 0;
}

function newestIn(folder) {
  let newest = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) newest = Math.max(newest, mtimeOf(join(entry.parentPath ?? entry.path, entry.name)));
  }
  return newest;
}

if (mtimeOf(join(root, 'node_modules', '.package-lock.json')) < mtimeOf(join(root, 'package-lock.json'))) {
  console.error('Installing what kith needs (once) …');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const status = run(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    shell: process.platform === 'win32',
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) {
    console.error(
      'The install failed; kith needs the npm registry once. Run the same command again to retry.',
    );
    process.exit(status);
  }
}

const sources = ['lib', 'cli', 'bench', 'test'].map((room) => newestIn(join(root, room)));
const newestSource = Math.max(
  mtimeOf(join(root, 'tsconfig.json')),
  mtimeOf(join(root, 'package.json')),
  ...sources,
);
if (mtimeOf(join(root, 'dist', '.tsbuildinfo')) < newestSource) {
  console.error('Building …');
  const status = run(process.execPath, [join(root, 'scripts', 'build.mjs')], { stdio: ['ignore', 2, 2] });
  if (status !== 0) process.exit(status);
}

function testFiles(folder) {
  return readdirSync(join(root, 'dist', 'test', folder), { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(root, 'dist', 'test', folder, name))
    .sort();
}

function testRun(files) {
  return run(process.execPath, ['--test', '--test-concurrency=2', '--test-reporter=spec', ...args, ...files]);
}

/** Ctrl-C goes to every process of the terminal: the job ends in good order, and this one waits for it. */
function waitOutInterrupts() {
  process.on('SIGINT', () => {});
}

const quickFolders = ['unit', 'format', 'contract', 'integration', 'cli', 'fuzz'];
const jobs = {
  demo: () => {
    waitOutInterrupts();
    return run(process.execPath, [join(root, 'dist', 'bench', 'demo.js'), ...args], {
      cwd: process.env.INIT_CWD ?? root,
    });
  },
  kith: () =>
    run(process.execPath, [join(root, 'dist', 'cli', 'kith.cjs'), ...args], {
      cwd: process.env.INIT_CWD ?? root,
    }),
  bench: () => {
    waitOutInterrupts();
    return run(process.execPath, [join(root, 'dist', 'bench', 'bench.js'), ...args]);
  },
  test: () =>
    testRun(quickFolders.filter((f) => existsSync(join(root, 'dist', 'test', f))).flatMap(testFiles)),
  // What `npm test` leaves out.
  'test:all': () => testRun(testFiles('long')),
};
if (!Object.hasOwn(jobs, job)) {
  console.error(`unknown job ${job}; one of ${Object.keys(jobs).join(', ')}`);
  process.exit(2);
}
process.exit(jobs[job]());
