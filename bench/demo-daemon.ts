import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { kithMain } from './run-kith.ts';
import { DemoFailure } from './demo-stage.ts';

/** How long a daemon may take to end when it is asked to. */
const stopMsMax = 20_000;

/** One `kith up` as a process of its own, from its ready line to its end. */
export class KithDaemon {
  readonly listen: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(child: ChildProcess, pid: number, listen: string, ended: Promise<void>) {
    this.#child = child;
    this.pid = pid;
    this.listen = listen;
    this.#ended = ended;
  }

  /** Starts it and waits for its ready line. DemoFailure with what it said where it ends before. */
  static async start(
    args: readonly string[],
    options: {
      readonly cwd: string;
      readonly home: string;
      readonly signal: AbortSignal;
      /** A program that becomes this one, with its arguments: for another network namespace. */
      readonly through?: readonly string[];
    },
  ): Promise<KithDaemon> {
    const { cwd, home, signal, through = [] } = options;
    signal.throwIfAborted();
    const env: NodeJS.ProcessEnv = { ...process.env, KITH_HOME: home };
    delete env['KITH_PASSPHRASE'];
    delete env['KITH_PASSPHRASE_FILE'];
    const [program = process.execPath, ...rest] = [...through, process.execPath, kithMain, ...args];
    const child = spawn(program, rest, {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4096);
    });
    const ended = new Promise<void>((resolve) => {
      child.on('close', () => resolve());
      child.on('error', () => resolve());
    });
    const line = await new Promise<string | undefined>((resolve) => {
      let text = '';
      child.stdout.setEncoding('utf8').on('data', (part: string) => {
        text += part;
        const end = text.indexOf('\n');
        if (end >= 0) resolve(text.slice(0, end));
      });
      void ended.then(() => resolve(undefined));
    });
    if (line === undefined || child.pid === undefined) {
      throw new DemoFailure(`kith ${args.join(' ')} did not come up: ${said}`);
    }
    const ready = JSON.parse(line) as { message_type: string; listen: string | null };
    const daemon = new KithDaemon(child, child.pid, ready.listen ?? '', ended);
    if (ready.message_type !== 'ready' || ready.listen === null) {
      await daemon.kill();
      throw new DemoFailure(`kith ${args.join(' ')} did not say that it is ready: ${line}`);
    }
    return daemon;
  }

  /** How it ended; null while it runs and where a signal ended it. */
  get exitCode(): number | null {
    return this.#child.exitCode;
  }

  /** Asks the system, not our own memory. */
  isAlive(): boolean {
    try {
      process.kill(this.pid, 0);
      return true;
    } catch {
      return false;
    }
  }

  /** The most that the process ever had in memory, as the system counts; 0 where it doesn't tell. */
  peakBytes(): number {
    try {
      const text = readFileSync(`/proc/${this.pid}/status`, 'utf8');
      return Number(/^VmHWM:\s*(\d+) kB$/m.exec(text)?.[1] ?? '0') * 1024;
    } catch {
      return 0;
    }
  }

  /** Processor time so far, user and system, ms, in steps of 10; 0 where the system doesn't tell. */
  processorMs(): number {
    try {
      // Behind the name, which may have anything in it: user and system are the 12th and 13th field, in hundredths of a second.
      const fields =
        readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(')').at(-1)?.trim().split(' ') ?? [];
      return (Number(fields[11] ?? '0') + Number(fields[12] ?? '0')) * 10;
    } catch {
      return 0;
    }
  }

  /** SIGKILL, and waits until the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** Asks it to end in good order, and kills it if it doesn't. Harmless for one that has ended. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopMsMax);
    await this.#ended;
    clearTimeout(timer);
  }
}
