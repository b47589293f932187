// Compiles lib/kernels/assembly (AssemblyScript) to dist/lib/kernels/kernels.wasm and kernels-relaxed.wasm, unless neither the sources
// nor the compiler have changed since.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const outputs = { 'kernels.wasm': [], 'kernels-relaxed.wasm': ['--enable', 'relaxed-simd'] };

// Memory comes from outside and is shared by threads; nothing is placed in it (no runtime, no data), since all room is passed in.
const options =
  '-O3 --converge --noAssert --runtime stub --use abort= --enable simd,threads,bulk-memory ' +
  '--importMemory --sharedMemory --maximumMemory 65536';

function digestOf(folder, version) {
  const hash = createHash('sha256').update(JSON.stringify([version, options, outputs]));
  for (const name of readdirSync(folder).sort()) {
    hash.update(JSON.stringify([name, readFileSync(join(folder, name), 'utf8')]));
  }
  return hash.digest('hex');
}

/** Whether it succeeded; errors are printed. */
export async function buildKernels(root) {
  const folder = join(root, 'lib', 'kernels', 'assembly');
  const target = join(root, 'dist', 'lib', 'kernels');
  const stamp = join(root, 'dist', '.kernels');
  const packageFile = join(root, 'node_modules', 'assemblyscript', 'package.json');
  const digest = digestOf(folder, JSON.parse(readFileSync(packageFile, 'utf8')).version);
  const whole = Object.keys(outputs).every((name) => existsSync(join(target, name)));
  if (whole && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return true;
  rmSync(stamp, { force: true });
  mkdirSync(target, { recursive: true });
  const { default: asc } = await import('assemblyscript/asc');
  for (const [name, more] of Object.entries(outputs)) {
    const file = join('lib', 'kernels', 'assembly', 'index.ts');
    const args = [
      file,
      '--baseDir',
      root,
      '-o',
      join('dist', 'lib', 'kernels', name),
      ...options.split(' '),
      ...more,
    ];
    let said = '';
    const { error } = await asc.main(args, { stderr: { write: (text) => (said += text) } });
    // A warning is an error: there is nobody to read it later.
    if (error || said !== '') {
      console.error(said || String(error));
      rmSync(join(target, name), { force: true });
      return false;
    }
  }
  writeFileSync(stamp, digest);
  return true;
}
