import { existsSync } from 'node:fs';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The example packages of the checkout. */
function examples(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'test', 'plugins')) || !existsSync(join(folder, 'package.json')))
    folder = dirname(folder);
  return join(folder, 'test', 'plugins');
}

/** Puts an example package into a home's plug-ins, as npm does. */
export async function installExample(home: string, name: string): Promise<void> {
  await cp(join(examples(), name), join(home, 'plugins', 'node_modules', name), { recursive: true });
}

/** Puts a package of these files into a home's plug-ins. */
export async function installPackage(
  home: string,
  name: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const folder = join(home, 'plugins', 'node_modules', name);
  await mkdir(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text);
}
