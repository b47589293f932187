import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '../../lib/base/bytes.ts';
import { signAcceptance, encodeAcceptance } from '../../lib/format/acceptance.ts';
import { encodeCard } from '../../lib/format/card.ts';
import { friendStateNumbers } from '../../lib/format/friend-records.ts';
import { encodeInviteText } from '../../lib/format/invite-text.ts';
import { decodeInviteText } from '../../lib/format/invite-text.ts';
import { decodeInvite, encodeInvite, oneTimePair } from '../../lib/format/invite.ts';
import { inviteStateNumbers } from '../../lib/format/invite-records.ts';
import { plainCoder } from '../../lib/kernels/reed-solomon.ts';
import { initVault, Session, vaultOf, type Surroundings, type VaultApi } from '../../lib/vault/index.ts';
import { inviteCompleted } from '../../lib/vault/invites/invite-accept.ts';
import { applyAcceptance } from '../../lib/vault/invites/invite-letters.ts';
import { pendingOf } from '../../lib/vault/invites/pending-invite.ts';
import { CrashWorld } from '../support/crash-machine.ts';
import { sweep, type Crashable, type CrashScenario } from '../support/crash-sweep.ts';
import { FaultDisk, type CrashMode } from '../support/fault-disk.ts';
import { SamplePerson } from '../support/sample-card.ts';
import { inviteDay, sampleInvite } from '../support/sample-invite.ts';
import { failure } from '../support/vault-fixture.ts';

const home = '/home/kith';
const ada = new SamplePerson('Ada');
const ben = new SamplePerson('Ben');

/** A home on a fault disk, without a network. */
class Machine implements Crashable<Machine> {
  readonly dying: FaultDisk;
  readonly world: CrashWorld;
  /** The invite that is open, in tests of the one who invites. */
  text = '';

  constructor(world: CrashWorld, disk: FaultDisk, text = '') {
    this.world = world;
    this.dying = disk;
    this.text = text;
  }

  static async make(): Promise<Machine> {
    const disk = new FaultDisk({ seed: 1 });
    await disk.makeFolder('/home');
    const machine = new Machine(new CrashWorld('/nowhere', 1), disk);
    await initVault({ home, name: 'tester', surroundings: machine.surroundings });
    return machine;
  }

  get surroundings(): Surroundings {
    const { random, clock } = this.world;
    return { disk: this.dying, random, clock, coder: plainCoder, threads: 0 };
  }

  copy(): Machine {
    return this.restarted('keep-all', 1);
  }

  restarted(mode: CrashMode, seed: number): Machine {
    return new Machine(this.world, this.dying.afterCrash(mode, seed), this.text);
  }

  async use<T>(work: (session: Session, vault: VaultApi) => Promise<T>): Promise<T> {
    const session = await Session.open({ home, surroundings: this.surroundings });
    try {
      return await work(session, vaultOf(session));
    } finally {
      await session.close();
    }
  }

  acceptance(person: SamplePerson): Uint8Array {
    const { seed } = decodeInvite(decodeInviteText(this.text));
    return encodeAcceptance(signAcceptance(oneTimePair(seed), encodeCard(person.card())));
  }
}

const modes: readonly CrashMode[] = ['lose-unsynced', 'keep-all', 'mixed', 'process-killed'];

/** Cuts at every step, in every way. */
async function sweepAll(base: Machine, scenario: CrashScenario<Machine>): Promise<void> {
  for (const mode of modes) {
    const count = await sweep(base, scenario, { mode, seed: 3, firstStep: 1, stride: 1 });
    assert.ok(count > 3, `${count} steps of ${mode}`);
  }
}

test('an acceptance is applied whole or not at all, wherever the inviter dies', async () => {
  const base = await Machine.make();
  base.text = await base.use(async (_, vault) => (await vault.invite({ quotaBytes: 5 })).text);
  await sweepAll(base, {
    cut: (machine) =>
      machine.use(async (session) => void (await applyAcceptance(session, machine.acceptance(ben)))),
    after: (machine) =>
      machine.use(async (session, vault) => {
        const [invite] = session.state.invites();
        const isUsed = invite?.state === inviteStateNumbers.used;
        const isFriend = session.state.friend(ben.identity)?.state === friendStateNumbers.active;
        assert.equal(isUsed, isFriend, 'used, and not a friend, or the other way round');
        // Who accepted comes again, and nobody else.
        if (isUsed)
          assert.equal(
            (await failure(applyAcceptance(session, machine.acceptance(ada)))).code,
            'invite-used',
          );
        const { identity } = await applyAcceptance(session, machine.acceptance(ben));
        assert.equal(toHex(identity), toHex(ben.identity));
        const friends = await vault.friendList();
        assert.deepEqual(
          friends.map(({ name, quotaGiven }) => [name, quotaGiven]),
          [['Ben', 5]],
        );
      }),
  });
});

test('an invite whose text was shown is in the catalog, wherever the inviter dies', async () => {
  const base = await Machine.make();
  await sweepAll(base, {
    cut: async (machine) => {
      const made = await machine.use((_, vault) => vault.invite());
      // Shown: from now on it must be known.
      machine.world.phrase = made.id;
    },
    after: (machine) =>
      machine.use(async (_, vault) => {
        const list = await vault.inviteList();
        const shown = machine.world.phrase;
        machine.world.phrase = '';
        assert.ok(shown === '' || list.some(({ id }) => id === shown));
        assert.equal((await vault.invite()).state, 'open');
      }),
  });
});

test('an accepted invite is pending or not there, and done with or pending, wherever the other side dies', async () => {
  const text = encodeInviteText(encodeInvite(sampleInvite(ada, { expiresMs: inviteDay * 2 })));
  const base = await Machine.make();
  await sweepAll(base, {
    cut: (machine) => machine.use((_, vault) => vault.accept(text)),
    after: (machine) =>
      machine.use(async (session, vault) => {
        const record = session.state.friend(ada.identity);
        assert.ok(record === undefined || pendingOf(record) !== undefined);
        assert.equal((await vault.accept(text)).invite, 'pending');
      }),
  });
  await base.use((_, vault) => vault.accept(text));
  await sweepAll(base, {
    cut: (machine) => machine.use((session) => inviteCompleted(session, toHex(ada.identity))),
    after: (machine) =>
      machine.use(async (session, vault) => {
        await inviteCompleted(session, toHex(ada.identity));
        assert.equal((await vault.friendShow('Ada')).invite, null);
      }),
  });
});
