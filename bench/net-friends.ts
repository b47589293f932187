import { createInterface } from 'node:readline';
import { LightFriend, tell } from './light-friend.ts';

/**
 * The friends of bench/net.ts, as a process of their own, which does what its input says, a JSON object a line: opens so many friends and
 * tells their cards; makes each the friend of all whose cards are given, or the first of the first and so on; has each dial, one after
 * the other, and tells how long it took until its first session was open. It runs until its input ends.
 */
type Order =
  | { readonly open: number; readonly dht: boolean }
  | { readonly befriend: readonly string[]; readonly each: boolean }
  | { readonly dial: true };

const friends: LightFriend[] = [];

async function obey(order: Order): Promise<void> {
  if ('open' in order) {
    for (let index = 0; index < order.open; index++) {
      friends.push(await LightFriend.open(`friend ${index}`, order.dht));
    }
    tell({ cards: friends.map(({ cardText }) => cardText) });
  } else if ('befriend' in order) {
    for (const [index, friend] of friends.entries()) {
      friend.befriend(order.each ? order.befriend.slice(index, index + 1) : order.befriend);
    }
    tell({});
  } else {
    const connectedMs: number[] = [];
    for (const friend of friends) connectedMs.push(await dial(friend));
    tell({ connectedMs });
  }
}

/** From nothing to a session in which calls may be made. */
async function dial(friend: LightFriend): Promise<number> {
  const beganMs = performance.now();
  friend.start();
  while (friend.network.peers().length === 0) await new Promise((resolve) => setImmediate(resolve));
  return performance.now() - beganMs;
}

for await (const line of createInterface({ input: process.stdin })) await obey(JSON.parse(line) as Order);
await Promise.all(friends.map((friend) => friend.close()));
