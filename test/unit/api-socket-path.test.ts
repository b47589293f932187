import assert from 'node:assert/strict';
import { chmod, lstat, mkdir, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { isKithError } from '../../lib/base/errors.ts';
import {
  findSocket,
  prepareSocket,
  removeSocket,
  socketName,
  socketPath,
  socketPathBytesMax,
} from '../../lib/api/socket-path.ts';
import { tempFolder } from '../support/temp-folder.ts';

const uid = process.getuid?.() ?? 0;
const long = 'a long name with an ü '.repeat(8).trim();

describe('where the daemon listens', { skip: process.platform === 'win32' }, () => {
  it('is in the home as long as that fits', () => {
    const places = { runtimeFolder: '/run/user/1', tempFolder: '/tmp', uid: 1 };
    assert.equal(socketPath('/home/anna/kith', places), '/home/anna/kith/daemon.sock');
    const edge = `/${'x'.repeat(socketPathBytesMax - '/'.length - '/daemon.sock'.length)}`;
    assert.equal(socketPath(edge, places), `${edge}/daemon.sock`);
    assert.match(socketPath(`${edge}x`, places), /^\/run\/user\/1\/kith\/[0-9a-f]{32}\.sock$/);
    // Bytes count, not characters.
    assert.match(socketPath(`/${'ü'.repeat(60)}`, places), /^\/run\/user\/1\/kith\//);
  });

  it('differs for two long homes, and fits wherever the folders are', () => {
    for (const runtimeFolder of [undefined, '/run/user/1', `/${'r'.repeat(90)}`]) {
      for (const tempFolder of ['/tmp', `/${'t'.repeat(200)}`]) {
        const places = { runtimeFolder, tempFolder, uid: 7 };
        const paths = ['a', 'b'].map((end) => socketPath(`/${long}/${long}/${end}`, places));
        assert.notEqual(paths[0], paths[1]);
        for (const path of paths) assert.ok(Buffer.byteLength(path) <= socketPathBytesMax, path);
      }
    }
  });

  it('is found through the home, also by who has other surroundings', async (test) => {
    const folder = await tempFolder(test);
    const home = join(folder, long);
    await mkdir(home);
    const places = { runtimeFolder: folder, tempFolder: folder, uid };
    assert.equal(await findSocket(home, places), undefined);
    const path = await prepareSocket(home, places);
    assert.equal((await stat(join(folder, 'kith'))).mode & 0o777, 0o700);
    assert.equal(await readlink(socketName(home)), path);
    assert.equal(await findSocket(home, places), undefined);
    await writeFile(path, '');
    assert.equal(await findSocket(home, { runtimeFolder: undefined, tempFolder: '/nowhere', uid }), path);
    assert.equal(await prepareSocket(home, places), path);
    await writeFile(path, '');
    await removeSocket(home, path);
    assert.equal(await findSocket(home, places), undefined);
    await assert.rejects(lstat(socketName(home)));
  });

  it('is never in a folder that others can enter, or that is a link', async (test) => {
    const folder = await tempFolder(test);
    const home = join(folder, long);
    await mkdir(home);
    const refused = (error: unknown): boolean =>
      isKithError(error, 'failed') && error.message.includes('700');

    const open = { runtimeFolder: join(folder, 'open'), tempFolder: folder, uid };
    await mkdir(join(folder, 'open', 'kith'), { recursive: true });
    await chmod(join(folder, 'open', 'kith'), 0o770);
    await assert.rejects(prepareSocket(home, open), refused);
    // Somebody may listen there already: a command doesn't go there either.
    const path = socketPath(home, open);
    await writeFile(path, '');
    await symlink(path, socketName(home));
    await assert.rejects(findSocket(home, open), refused);

    const linked = { runtimeFolder: join(folder, 'linked'), tempFolder: folder, uid };
    await mkdir(join(folder, 'linked'));
    await mkdir(join(folder, 'elsewhere'), { mode: 0o700 });
    await symlink(join(folder, 'elsewhere'), join(folder, 'linked', 'kith'));
    await assert.rejects(prepareSocket(home, linked), refused);

    await assert.rejects(prepareSocket(home, { ...open, runtimeFolder: folder, uid: uid + 1 }), refused);
  });
});
