// The front door: `npm run demo`, `npm test` and their kin. Installs and builds what is missing or stale, then runs the job.
// Uses nothing but Node itself, so that it works in a fresh clone.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

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

/** Files that measure the memory of their process, or change what it is: each has one for itself. */
const testsAlone = ['unit/compress.test.js', 'integration/hostile-trees.test.js', 'integration/walk.test.js'];

/** Files of a process at most, by folder; 1 where there is no number. Few where files are slow: two processes end together. */
const filesTogether = { unit: 18, format: 9, contract: 2, integration: 5, cli: 3 };

/**
 * Modules that import several test files of a folder, one module a process: a process costs a quarter of a second, what
 * it imports another, and code that has run a while runs faster. The rest of the files, which need a process each.
 */
function togetherIn(folder) {
  const alone = testsAlone.map((name) => join(root, 'dist', 'test', name));
  const files = testFiles(folder);
  const sharing = files.filter((file) => !alone.includes(file));
  const count = Math.ceil(sharing.length / (filesTogether[folder] ?? 1));
  const modules = Array.from({ length: count }, (_, number) => {
    const path = join(root, 'dist', 'test', 'together', `${folder}-${number + 1}.js`);
    // Every `count`th: neighbours in the list are much alike, and as slow as each other.
    const imported = sharing.filter((_file, index) => index % count === number);
    const lines = imported.map((file) => `import ${JSON.stringify(pathToFileURL(file).href)};\n`);
    writeFileSync(path, lines.join(''));
    return path;
  });
  return [...modules, ...files.filter((file) => alone.includes(file))];
}

function quickTests() {
  const together = join(root, 'dist', 'test', 'together');
  rmSync(together, { recursive: true, force: true });
  mkdirSync(together, { recursive: true });
  return quickFolders.filter((folder) => existsSync(join(root, 'dist', 'test', folder))).flatMap(togetherIn);
}

function testRun(files) {
  // One more than there are processors: some tests wait for what takes its time.
  const atOnce = `--test-concurrency=${Math.min(availableParallelism() + 1, 8)}`;
  return run(process.execPath, ['--test', atOnce, '--test-reporter=spec', ...args, ...files]);
}

/** Ctrl-C goes to every process of the terminal: the job ends in good order, and this one waits for it. */
function waitOutInterrupts() {
  process.on('SIGINT', () => {});
}

const quickFolders = ['unit', 'format', 'contract', 'integration', 'cli'];
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
  test: () => testRun(quickTests()),
  'test:nat': () => {
    waitOutInterrupts();
    return run(process.execPath, [join(root, 'dist', 'test', 'nat', 'lab.js'), ...args]);
  },
  // What `npm test` leaves out.
  'test:all': () => testRun(testFiles('long')),
};
if (!Object.hasOwn(jobs, job)) {
  console.error(`unknown job ${job}; one of ${Object.keys(jobs).join(', ')}`);
  process.exit(2);
}
process.exit(jobs[job]());
