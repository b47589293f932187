import { describe, it } from 'node:test';
import { befriend, Circle, type Member } from '../cli/circle.ts';

describe('friends who moved, each a process of its own', { skip: process.platform === 'win32' }, () => {
  it('find each other through one who stayed', async (t) => {
    const flags = ['--no-dht'];
    const { owner, friends } = await Circle.start(t, ['ben', 'cleo'], { flags });
    const [ben, cleo] = friends as [Member, Member];
    await befriend(ben, cleo, 5e9);
    await Promise.all([owner.sees('ben', 'cleo'), ben.sees('you', 'cleo')]);
    // Whoever writes has heard friends before: what they gave to be found by goes to the catalog.
    await owner.ok(['friend', 'set', 'ben', '--household', 'mill lane']);
    await ben.ok(['friend', 'set', 'you', '--household', 'hill top']);
    await Promise.all([owner.down(), ben.down()]);
    const beganMs = performance.now();
    await Promise.all([owner.up(flags), ben.up(flags)]);
    const readyMs = performance.now();
    await Promise.all([owner.sees('ben'), ben.sees('you')]);
    const foundMs = performance.now();
    t.diagnostic(
      `${Math.round(readyMs - beganMs)} ms to start, ${Math.round(foundMs - readyMs)} ms to find each other`,
    );
  });
});
