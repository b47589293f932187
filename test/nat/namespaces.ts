import { spawnSync } from 'node:child_process';

/** Names begin with this and the process id of the lab: one that died leaves names that the next one knows as nobody's. */
const prefix = 'kithnat';

function run(command: string, args: readonly string[], input?: string): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { input, encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}${input ?? ''}`);
  return stdout;
}

/** Why the lab can't be set up here, in words; undefined if it can. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'the NAT lab needs Linux';
  if (process.getuid?.() !== 0)
    return 'the NAT lab needs root, for network namespaces: sudo npm run test:nat';
  for (const [command, version] of [
    ['ip', '-V'],
    ['nft', '-v'],
  ] as const) {
    if (spawnSync(command, [version]).error !== undefined) {
      return `the NAT lab needs ${command}: apt-get install iproute2 nftables`;
    }
  }
  const name = `${prefix}-${process.pid}-try`;
  if (spawnSync('ip', ['netns', 'add', name]).status !== 0) return 'network namespaces can’t be made here';
  spawnSync('ip', ['netns', 'del', name]);
  return undefined;
}

/** Removes what labs left whose process is gone. */
export function sweep(): void {
  const names = run('ip', ['netns', 'list']).split('\n');
  for (const line of names) {
    const [name = ''] = line.split(' ');
    const pid = new RegExp(`^${prefix}-(\\d+)-`).exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) removeNamespace(name);
  }
}

/** With the daemons that are left in it: a namespace lives as long as they do. */
function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  for (const pid of stdout.split('\n').filter((line) => /^\d+$/.test(line))) kill(Number(pid));
  spawnSync('ip', ['netns', 'del', name]);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A set of namespaces with wires between them; nothing leads out of it. */
export class Namespaces {
  readonly #label: string;
  readonly #names = new Set<string>();
  #wireCount = 0;

  constructor(label: string) {
    this.#label = `${prefix}-${process.pid}-${label}`;
  }

  /** The system's name of a namespace. */
  name(short: string): string {
    return `${this.#label}-${short}`;
  }

  /** Makes namespaces. The loopback of each is up; IPv6 is off, so that nothing is reached but what a test lays. */
  add(...shorts: readonly string[]): void {
    for (const short of shorts) this.#names.add(this.name(short));
    run('ip', ['-batch', '-'], shorts.map((short) => `netns add ${this.name(short)}\n`).join(''));
    for (const short of shorts) {
      this.exec(short, [
        'sh',
        '-c',
        'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up',
      ]);
    }
  }

  /** Commands of `ip`, a line each, in one namespace. */
  ip(short: string, ...lines: readonly string[]): void {
    run('ip', ['-n', this.name(short), '-batch', '-'], `${lines.join('\n')}\n`);
  }

  /** Rules of nft, in the place of those that were there. */
  nft(short: string, rules: string): void {
    this.exec(short, ['nft', '-f', '-'], `flush ruleset\n${rules}`);
  }

  exec(short: string, command: readonly string[], input?: string): string {
    return run('ip', ['netns', 'exec', this.name(short), ...command], input);
  }

  /** Interfaces that are plugged from now on give themselves an address of their link. */
  allowIPv6(short: string): void {
    this.exec(short, [
      'sh',
      '-c',
      'echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6',
    ]);
  }

  /** A wire from `interfaceName` in one namespace, with that address, to a port of the bridge `br0` in another. */
  plug(short: string, interfaceName: string, address: string | undefined, bridge: string): void {
    const port = `p${++this.#wireCount}`;
    run(
      'ip',
      ['-batch', '-'],
      `link add ${interfaceName} netns ${this.name(short)} type veth peer name ${port} netns ${this.name(bridge)}\n`,
    );
    if (address !== undefined) this.ip(short, `addr add ${address} dev ${interfaceName}`);
    this.ip(short, `link set ${interfaceName} up`);
    this.ip(bridge, `link set ${port} master br0`, `link set ${port} up`);
  }

  /** Before a command that is to run in a namespace. */
  through(short: string): string[] {
    return ['ip', 'netns', 'exec', this.name(short)];
  }

  /** Takes all of it away. Harmless when repeated, and safe in a handler of a signal. */
  remove(): void {
    for (const name of this.#names) spawnSync('ip', ['netns', 'del', name]);
    this.#names.clear();
  }
}
