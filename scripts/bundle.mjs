// Bundles what the command line and its threads load: dist/bundle/main.cjs and thread.cjs (docs/decisions/0030).
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
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

function isEsModule(path) {
  if (!path.endsWith('.js')) return path.endsWith('.mjs');
  let folder = dirname(path);
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).type === 'module';
}

/** Packages stay outside, as some have binaries beside them; but for those that are ES modules: `require` gives of them something else on each Node. */
const packagesOutside = {
  name: 'packages-outside',
  setup({ onResolve, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, kind, resolveDir, pluginData }) => {
      if (pluginData === packagesOutside || isBuiltin(path)) return undefined;
      if (kind === 'entry-point') return undefined;
      const found = await resolve(path, { kind, resolveDir, pluginData: packagesOutside });
      if (found.errors.length > 0) return { errors: found.errors };
      return isEsModule(found.path) ? found : { path, external: true };
    });
  },
};

/** Writes the bundle of what tsc made in `dist`. */
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
    plugins: [packagesOutside, ownUrls(folder, join(threads, 'pool.js'))],
    logLevel: 'warning',
  });
}
