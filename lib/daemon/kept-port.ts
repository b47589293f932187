import { join } from 'node:path';
import { textOf, utf8 } from '../base/bytes.ts';
import { writeDurably } from '../disk/write-durably.ts';
import type { Session } from '../vault/session.ts';

/** The file with the port that was once chosen. */
const portFile = 'listen-port';

/** The port that was chosen when `up` first ran without `--listen`; 0 before, and where the file makes no sense. */
export async function keptPort({
  home,
  surroundings,
}: Pick<Session, 'home' | 'surroundings'>): Promise<number> {
  const bytes = await surroundings.disk.readWhole(join(home, portFile), 64);
  const port = Number((bytes === undefined ? undefined : textOf(bytes))?.trim() ?? '0');
  return Number.isInteger(port) && port > 0 && port < 65536 ? port : 0;
}

/** Keeps it, for good. */
export async function keepPort(
  { home, surroundings }: Pick<Session, 'home' | 'surroundings'>,
  port: number,
): Promise<void> {
  await writeDurably(surroundings.disk, {
    tempFolder: join(home, 'tmp'),
    path: join(home, portFile),
    parts: [utf8(`${port}\n`)],
    mode: 0o600,
  });
}
