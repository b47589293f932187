// Compiles lib, cli, bench and test to dist/, after removing what no longer has a source; the kernels to WASM. Bundles
// what the command line loads.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, rmdirSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildKernels } from './build-kernels.mjs';
import { bundle } from './bundle.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');

function removeStale(folder, source) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      removeStale(path, join(source, entry.name));
      if (readdirSync(path).length === 0) rmdirSync(path);
    } else {
      const stem = entry.name.replace(/(\.d\.ts|\.js\.map|\.js)$/, '');
      if (stem !== entry.name && !existsSync(join(source, `${stem}.ts`))) rmSync(path);
    }
  }
}

if (existsSync(dist)) {
  for (const room of ['lib', 'cli', 'bench', 'test']) {
    if (existsSync(join(dist, room))) removeStale(join(dist, room), join(root, room));
  }
}
// What was bundled before is never run with what is compiled now.
rmSync(join(dist, 'bundle'), { recursive: true, force: true });
if (!(await buildKernels(root))) process.exit(1);
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
const result = spawnSync(process.execPath, [tsc, '-p', root], { stdio: 'inherit' });
if (result.status === 0) {
  await bundle(dist);
  const main = join(dist, 'cli', 'kith.cjs');
  if (existsSync(main)) chmodSync(main, 0o755);
  // By its age run.mjs sees whether a build is due; tsc leaves it alone where only the kernels have changed.
  const now = new Date();
  utimesSync(join(dist, '.tsbuildinfo'), now, now);
}
process.exit(result.status ?? 1);
