import { Namespaces } from './namespaces.ts';

/** How somebody is connected to the wide world. */
export const kinds = ['open', 'cone', 'symmetric', 'forwarded', 'lan', 'blocked'] as const;
export type Kind = (typeof kinds)[number];

/** What each of them is, for people. */
export const kindWords: Readonly<Record<Kind, string>> = {
  open: 'an address of its own, no router',
  cone: 'behind a router that gives one port to all destinations and lets in whom was written to',
  symmetric: 'behind a router that gives each destination another port',
  forwarded: 'cone, with the port forwarded to it (TCP and UDP), which its card says',
  lan: 'cone, without a way back to its own outer address; with another `lan`: behind the same router',
  blocked: 'cone, and no UDP passes',
};

/** Port that everybody listens on. */
export const port = 4747;

/** A side of the pair: its short name, and the number that its addresses are made of. */
export interface Side {
  readonly name: 'a' | 'b';
  readonly number: number;
}

export const sideA: Side = { name: 'a', number: 10 };
export const sideB: Side = { name: 'b', number: 20 };

/** Outside, as in the wide world. Of nobody here: no packet leaves the namespaces. */
export function outerAddress(last: number): string {
  return `11.22.33.${last}`;
}

function innerNetwork({ number }: Side): string {
  return `192.168.${number}`;
}

/** The world: a switch with a gateway that swallows what goes nowhere, as a provider's does. */
export function buildWorld(spaces: Namespaces): void {
  spaces.add('world');
  spaces.ip(
    'world',
    'link add name br0 type bridge',
    `addr add ${outerAddress(1)}/24 dev br0`,
    'link set br0 up',
  );
}

/** A device with an address in the world. */
export function buildOpen(spaces: Namespaces, name: string, last: number): void {
  spaces.add(name);
  spaces.plug(name, 'eth0', `${outerAddress(last)}/24`, 'world');
  spaces.ip(name, `route add default via ${outerAddress(1)}`);
}

/** A device behind a router of that kind; `router` and `switch` are namespaces of their own. */
export function buildBehindRouter(spaces: Namespaces, side: Side, kind: Kind): void {
  const [router, lan] = [`${side.name}-router`, `${side.name}-lan`];
  spaces.add(router, lan);
  spaces.ip(lan, 'link add name br0 type bridge', 'link set br0 up');
  spaces.plug(router, 'wan', `${outerAddress(side.number)}/24`, 'world');
  spaces.plug(router, 'lan', `${innerNetwork(side)}.1/24`, lan);
  spaces.ip(router, `route add default via ${outerAddress(1)}`);
  spaces.exec(router, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  spaces.nft(router, routerRules(kind, `${innerNetwork(side)}.2`));
  buildInLan(spaces, side, side.name, 2);
}

/** A further device in a LAN that there is. */
export function buildInLan(spaces: Namespaces, side: Side, name: string, last: number): void {
  spaces.add(name);
  spaces.plug(name, 'eth0', `${innerNetwork(side)}.${last}/24`, `${side.name}-lan`);
  spaces.ip(name, `route add default via ${innerNetwork(side)}.1`);
}

/** Linux keeps the port of a connection where it is free, whatever its destination: a cone. What wasn't asked for is dropped unseen. */
function routerRules(kind: Kind, inner: string): string {
  const masquerade = kind === 'symmetric' ? 'masquerade random,fully-random' : 'masquerade persistent';
  const forward =
    kind === 'forwarded' ? `iifname "wan" meta l4proto { tcp, udp } th dport ${port} dnat to ${inner}` : '';
  const blocked = kind === 'blocked' ? 'meta l4proto udp drop' : '';
  return `table ip nat {
    chain pre { type nat hook prerouting priority dstnat; ${forward}
    }
    chain post { type nat hook postrouting priority srcnat; oifname "wan" ${masquerade}
    }
  }
  table ip filter {
    chain input { type filter hook input priority filter; policy accept;
      iifname "wan" ct state established,related accept
      iifname "wan" drop
    }
    chain forward { type filter hook forward priority filter; policy accept;
      ${blocked}
      iifname "wan" ct state established,related accept
      iifname "wan" ct status dnat accept
      iifname "wan" drop
    }
  }
`;
}

/** The pair of a cell; with `friend` also a device `f` that both can reach. */
export function buildPair(spaces: Namespaces, a: Kind, b: Kind, friend: boolean): void {
  buildWorld(spaces);
  if (friend) buildOpen(spaces, 'f', 2);
  buildSide(spaces, sideA, a);
  if (a === 'lan' && b === 'lan') buildInLan(spaces, sideA, sideB.name, 3);
  else buildSide(spaces, sideB, b);
}

function buildSide(spaces: Namespaces, side: Side, kind: Kind): void {
  if (kind === 'open') buildOpen(spaces, side.name, side.number);
  else buildBehindRouter(spaces, side, kind);
}

/** The router gets another outer address, as after a night's cut of the line; the old one leads nowhere from then on. */
export function changeOuterAddress(spaces: Namespaces, side: Side): void {
  const router = `${side.name}-router`;
  const [before, after] = [outerAddress(side.number), outerAddress(side.number + 1)];
  spaces.ip(
    router,
    `addr del ${before}/24 dev wan`,
    `addr add ${after}/24 dev wan`,
    `route replace default via ${outerAddress(1)}`,
  );
  // Linux would go on with what it has translated before, as long as the neighbours remember it.
  spaces.exec(
    router,
    ['nft', '-f', '-'],
    `table ip old {
      chain pre { type filter hook prerouting priority raw; iifname "wan" ip daddr ${before} drop
      }
      chain post { type filter hook postrouting priority srcnat + 10; oifname "wan" ip saddr ${before} drop
      }
    }
`,
  );
}

/** Cuts or mends the wire between the router, or the open device, and the world. */
export function setLine(spaces: Namespaces, name: string, interfaceName: string, isUp: boolean): void {
  spaces.ip(name, `link set ${interfaceName} ${isUp ? 'up' : 'down'}`);
  // A route goes with its interface.
  if (isUp) spaces.ip(name, `route replace default via ${outerAddress(1)}`);
}
