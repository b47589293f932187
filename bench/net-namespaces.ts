import { execFileSync } from 'node:child_process';

/** Names of the namespaces of this process: others may have theirs. */
const nameOf = (part: string): string => `kith-bench-${process.pid}-${part}`;
const names = { left: nameOf('l'), router: nameOf('r'), right: nameOf('f') };

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: 'pipe' });
}

function inside(name: string, ...args: readonly string[]): void {
  run('ip', 'netns', 'exec', name, ...args);
}

/** Addresses in the two networks that the router stands between: of documentation, reachable by nobody else. */
export const rightHost = '198.51.100.2';
export const leftHost = '192.0.2.2';
const wanHosts = ['198.51.100.1', '198.51.100.77'] as const;

/**
 * Two computers and a router between them as network namespaces: `left` is behind the router's NAT, `right` is what it calls the
 * outside. Needs root, ip and nft; `close` takes all of it down.
 */
export class RoutedPair {
  #wan = 0;
  #host = leftHost;

  static isPossible(): boolean {
    try {
      run('ip', 'netns', 'list');
      run('nft', 'list', 'tables');
      return process.getuid?.() === 0;
    } catch {
      return false;
    }
  }

  constructor() {
    try {
      for (const name of Object.values(names)) {
        run('ip', 'netns', 'add', name);
        inside(name, 'ip', 'link', 'set', 'lo', 'up');
      }
      this.#cable(names.left, leftHost, '192.0.2.1');
      this.#cable(names.right, rightHost, wanHosts[0]);
      inside(names.router, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
      for (const line of [
        'add table ip kith',
        'add chain ip kith out { type nat hook postrouting priority 100; }',
        'add rule ip kith out oifname "right" masquerade',
        'add chain ip kith way { type filter hook forward priority 0; policy accept; }',
      ]) {
        inside(names.router, 'nft', ...line.split(' '));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What makes a command run on one side. */
  through(side: 'left' | 'right'): readonly string[] {
    return ['ip', 'netns', 'exec', names[side]];
  }

  /** The router swallows everything from now on, or lets it pass again. */
  cut(isCut: boolean): void {
    inside(
      names.router,
      'nft',
      ...(isCut ? 'add rule ip kith way drop' : 'flush chain ip kith way').split(' '),
    );
  }

  /** The router gets another address from outside, as it does from a provider at night. Nobody behind it is told. */
  changeWan(): void {
    const before = wanHosts[this.#wan % 2];
    const after = wanHosts[++this.#wan % 2];
    // The old one first: with it go all further ones of its network.
    inside(names.router, 'ip', 'addr', 'del', `${before}/24`, 'dev', 'right');
    inside(names.router, 'ip', 'addr', 'add', `${after}/24`, 'dev', 'right');
    inside(names.right, 'ip', 'neigh', 'flush', 'dev', 'eth0');
  }

  /**
   * The router's way out is a line of so many Mbit/s from now on, before which as much waits as takes `queueMs`. It sends copies, without
   * NAT: of packets that are still the sender's own its kernel would know that they wait, as it never does of packets in a real router. Needs tc.
   */
  narrow(megabits: number, queueMs: number): void {
    const line = `qdisc replace dev right root tbf rate ${megabits}mbit burst 16kb latency ${queueMs}ms`;
    inside(names.router, 'tc', ...line.split(' '));
    for (const rule of [
      'add table ip line',
      'add chain ip line in { type filter hook prerouting priority -300; }',
      `add rule ip line in iifname "left" ip daddr ${rightHost} dup to ${rightHost} device "right" drop`,
    ]) {
      inside(names.router, 'nft', ...rule.split(' '));
    }
    // Cubic as most home computers have it, whatever this one has.
    inside(names.right, 'ip', 'route', 'add', '192.0.2.0/24', 'via', wanHosts[0], 'congctl', 'cubic');
    inside(names.left, 'ip', 'route', 'replace', 'default', 'via', '192.0.2.1', 'congctl', 'cubic');
  }

  /** The left computer gets another address. */
  changeLeft(): void {
    const before = this.#host;
    this.#host = before === leftHost ? '192.0.2.99' : leftHost;
    inside(names.left, 'ip', 'addr', 'del', `${before}/24`, 'dev', 'eth0');
    inside(names.left, 'ip', 'addr', 'add', `${this.#host}/24`, 'dev', 'eth0');
    inside(names.left, 'ip', 'route', 'replace', 'default', 'via', '192.0.2.1');
  }

  close(): void {
    for (const name of Object.values(names)) {
      try {
        run('ip', 'netns', 'del', name);
      } catch {
        // Never made.
      }
    }
  }

  #cable(side: string, host: string, router: string): void {
    const port = side === names.left ? 'left' : 'right';
    run('ip', '-n', names.router, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', side);
    for (const [name, device, address] of [
      [side, 'eth0', host],
      [names.router, port, router],
    ] as const) {
      inside(name, 'ip', 'addr', 'add', `${address}/24`, 'dev', device);
      inside(name, 'ip', 'link', 'set', device, 'up');
    }
    // Only the left one has a way beyond its own network: the router hides it from the right one.
    if (side === names.left) inside(side, 'ip', 'route', 'add', 'default', 'via', router);
  }
}
