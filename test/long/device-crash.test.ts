import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { isKithError } from '../../lib/base/errors.ts';
import { rootOfPhrase } from '../../lib/crypto/phrase.ts';
import { boxKeyPair, signKeyPair } from '../../lib/crypto/sign.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { encodeCertificate } from '../../lib/format/certificate.ts';
import { encodeJoinWelcome } from '../../lib/format/join-messages.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import { certifyDevice } from '../../lib/trust/identity.ts';
import { growKeyRecord } from '../../lib/trust/own-key-record.ts';
import { doorstepSeedOfRoot } from '../../lib/trust/root-keys.ts';
import { initVault, openVault, recoverVault, Session, type Surroundings } from '../../lib/vault/index.ts';
import { prepareHome } from '../../lib/vault/init.ts';
import { deviceOf, writeJoined } from '../../lib/vault/devices/join.ts';
import { ownCardOf } from '../../lib/vault/friends/own-card.ts';
import { CrashWorld, packBytes } from '../support/crash-machine.ts';
import { sweep, type Crashable } from '../support/crash-sweep.ts';
import { FaultDisk, type CrashMode } from '../support/fault-disk.ts';
import { failure } from '../support/vault-fixture.ts';
import { tempFolder } from '../support/temp-folder.ts';

const desktop = '/home/desktop';
const laptop = '/home/laptop';
const drives = ['/drives/a', '/drives/b'];
const modes: readonly CrashMode[] = ['lose-unsynced', 'mixed', 'process-killed'];

/** Two homes of one identity, and disks, on one disk that dies. */
class TwoHomes implements Crashable<TwoHomes> {
  readonly world: CrashWorld;
  readonly disk: FaultDisk;

  constructor(world: CrashWorld, disk: FaultDisk) {
    this.world = world;
    this.disk = disk;
  }

  static async create(world: CrashWorld): Promise<TwoHomes> {
    const disk = new FaultDisk({ seed: world.seed });
    for (const folder of [dirname(desktop), '/drives']) await disk.makeFolder(folder);
    const machine = new TwoHomes(world, disk);
    const made = await initVault({ home: desktop, name: 'tester', surroundings: machine.surroundings });
    world.phrase = made.phrase;
    const vault = await machine.open(desktop);
    for (const path of drives) await vault.driveAdd({ path });
    await vault.close();
    return machine;
  }

  get surroundings(): Surroundings {
    const { random, clock } = this.world;
    return { disk: this.disk, random, clock, coder: plainCoder, packBytes, threads: 0 };
  }

  get dying(): FaultDisk {
    return this.disk;
  }

  copy(): TwoHomes {
    return this.restarted('keep-all');
  }

  restarted(mode: CrashMode, seed = 1): TwoHomes {
    return new TwoHomes(this.world, this.disk.afterCrash(mode, seed));
  }

  open(home: string): ReturnType<typeof openVault> {
    return openVault({ home, surroundings: this.surroundings });
  }

  async recoverLaptop(): Promise<void> {
    const { surroundings, world } = this;
    await recoverVault({ home: laptop, phrase: world.phrase, drives, surroundings });
  }

  /** What linking gives the laptop, and its writing of it. */
  async join(): Promise<void> {
    const { surroundings, world } = this;
    const session = await Session.open({ home: desktop, surroundings });
    try {
      const keys = { deviceSeed: world.random(32), boxSeed: world.random(32) };
      const deviceId = signKeyPair(keys.deviceSeed).publicKey;
      const boxKey = boxKeyPair(keys.boxSeed).publicKey;
      const root = rootOfPhrase(world.phrase);
      const certificate = certifyDevice(root, {
        deviceId,
        boxKey,
        name: 'x',
        createdNs: world.clock.nowNs(),
      });
      const welcome = {
        certificate: encodeCertificate(certificate),
        blobIdKey: session.device.blobIdKey,
        cutKey: session.device.cutKey,
        doorstepSeed: doorstepSeedOfRoot(root),
        card: encodeCard(ownCardOf(session)),
      };
      root.wipe();
      const { keyRecord } = growKeyRecord(session.device, session.keyRecord, { certificates: [certificate] });
      const lock = await prepareHome(surroundings, laptop);
      try {
        await writeJoined(surroundings, laptop, {
          welcome: encodeJoinWelcome(welcome),
          keyRecord,
          segments: segmentsOf(session),
          device: deviceOf({ vaultId: session.device.vaultId }, keys, welcome, keyRecord),
          deviceName: 'laptop',
          passphrase: undefined,
        });
      } finally {
        await lock.release();
      }
    } finally {
      await session.close();
    }
  }
}

async function* segmentsOf({ logs }: Session): AsyncGenerator<Uint8Array> {
  for (const { logKey } of logs.heads())
    for (const place of logs.stored.segments(logKey)) yield await logs.stored.segmentBytes(logKey, place);
}

test('a join that dies at any step leaves no vault, or a whole one', async (t) => {
  const base = await TwoHomes.create(new CrashWorld(await tempFolder(t), 1));
  for (const mode of modes) {
    const count = await sweep(
      base,
      {
        cut: (machine) => machine.join(),
        after: async (machine) => {
          const joined = async (): Promise<boolean> => {
            const vault = await machine.open(laptop).catch((error: unknown) => {
              if (isKithError(error, 'vault-missing')) return undefined;
              throw error;
            });
            if (vault === undefined) return false;
            try {
              assert.equal(vault.name, 'tester', 'the other device’s records are here');
              assert.equal((await vault.driveList({ brief: true })).length, drives.length);
              const own = (await vault.deviceList()).find(({ isThis }) => isThis);
              assert.equal(own?.name, 'laptop');
              return true;
            } finally {
              await vault.close();
            }
          };
          if (!(await joined())) {
            await machine.join();
            assert.ok(await joined());
          }
        },
      },
      { mode, seed: 1, firstStep: 1, stride: 1 },
    );
    t.diagnostic(`crash points: join ${count}, ${mode}`);
    assert.ok(count >= 40, `cut at ${count} steps`);
  }
});

test('a revocation that dies at any step is none, or is finished by the next one', async (t) => {
  const base = await TwoHomes.create(new CrashWorld(await tempFolder(t), 2));
  await base.recoverLaptop();
  const session = await Session.open({ home: laptop, surroundings: base.surroundings });
  const id = toHex(session.device.deviceId);
  await session.close();
  for (const mode of modes) {
    const revoke = async (machine: TwoHomes): Promise<boolean> => {
      const vault = await machine.open(desktop);
      try {
        return (await vault.deviceRevoke(id, { phrase: machine.world.phrase })).already;
      } finally {
        await vault.close();
      }
    };
    const count = await sweep(
      base,
      {
        cut: revoke,
        after: async (machine) => {
          const before = await Session.open({ home: desktop, surroundings: machine.surroundings });
          const known = before.revoked.size > 0;
          // The revocation and the epoch that the laptop lacks are there together, or neither is.
          assert.equal(before.device.epochs.length, known ? 2 : 1);
          await before.close();
          assert.equal(await revoke(machine), known);
          const stolen = await machine.open(laptop).catch((error: unknown) => {
            if (isKithError(error, 'device-revoked')) return undefined;
            throw error;
          });
          if (stolen === undefined) return;
          const error = await failure(stolen.configSet('repair.grace', '1h'));
          assert.equal(error.code, 'device-revoked');
          await stolen.close();
        },
      },
      { mode, seed: 2, firstStep: 1, stride: 1 },
    );
    t.diagnostic(`crash points: device revoke ${count}, ${mode}`);
    assert.ok(count >= 20, `cut at ${count} steps`);
  }
});
