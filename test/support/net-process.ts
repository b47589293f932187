// A process that opens, connects both ways and closes: it has to end by itself, for nothing may be left running.
import { openTransports } from '../../lib/net/transports.ts';
import { loopback, newEnd, patience, targetOf } from './net-fixture.ts';
import type { End } from './net-fixture.ts';

const friend: End = newEnd(() => [me.keyPair]);
const me = newEnd(() => []);
const on = { direct: true, dht: true, bootstrap: [] };
const there = await openTransports({ ...on, ...friend.options, listen: { host: '127.0.0.1', port: 0 } });
const here = await openTransports({
  ...on,
  ...me.options,
  bootstrap: [loopback(there.listening?.port ?? 0)],
});
for (const transport of here.transports) {
  const link = await transport.dial(targetOf(me, friend, loopback(there.listening?.port ?? 0)), patience());
  await friend.next();
  console.log(link.via);
}
await Promise.all([here.close(), there.close()]);
console.log('closed');
