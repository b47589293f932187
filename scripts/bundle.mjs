// Bundles what the command line and its threads load: dist/bundle/main.cjs and thread.cjs (docs/decisions/0030).
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build } from 'esbuild';

const thread = "new URL('./thread.js', import.meta.url)";
const bundledThread = "require('node:path').join(__dirname, 'thread.cjs')";

/** In the bundle, `import.meta.url` stands for the module that it comes from: kernels and packages lie beside that one. Threads run from the bundle. */
function ownUrls(folder, pool) {
  return {
    name: 'own-urls',
    setup({ onLoad }) {
      onLoad({ filter: /\.js$/ }, ({ path }) => {
        let text = readFileSync(path, 'utf8');
        if (!text.includes('import.meta.url')) return undefined;
        if (path === pool) {
          if (!text.includes(thread)) throw new Error(`${path} no longer has ${thread}`);
          text = text.replaceAll(thread, bundledThread);
        }
        const own = `require('node:url').pathToFileURL(require('node:path').join(__dirname, ${JSON.stringify(relative(folder, path).replaceAll('\\', '/'))})).href`;
        return { contents: text.replaceAll('import.meta.url', own) };
      });
    },
  };
}

/** Packages stay outside: some have binaries beside them, and all are loaded as the lockfile pins them. */
export async function bundle(dist) {
  const folder = join(dist, 'bundle');
  rmSync(folder, { recursive: true, force: true });
  const threads = join(dist, 'lib', 'workers');
  await build({
    entryPoints: { main: join(dist, 'cli', 'main.js'), thread: join(threads, 'thread.js') },
    outdir: folder,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20.19',
    packages: 'external',
    keepNames: false,
    plugins: [ownUrls(folder, join(threads, 'pool.js'))],
    logLevel: 'warning',
  });
}
