import { KithError } from '../base/errors.ts';

/** Writers that wait at most: more than a script starts by mistake. */
const waitingMax = 64;

/** A writer that wants its turn. */
export interface WriterTurn {
  /** For people: `the backup`. */
  readonly name: string;
  readonly signal: AbortSignal;
  /** Nobody waits for what it does: it gives way when somebody wants a turn. */
  readonly background: boolean;
  /** Called with the name of the writer that is at work, if it has to wait. */
  readonly onWaiting?: (running: string) => void;
}

interface Running {
  readonly turn: WriterTurn;
  readonly giveWay: AbortController;
}

interface Waiting {
  readonly turn: WriterTurn;
  readonly begin: () => void;
}

/** Lets one writer work at a time: users' in the order they came, and what the daemon does by itself only when nobody else wants to. */
export class WriterQueue {
  #running: Running | undefined;
  readonly #waiting: Waiting[] = [];

  /** True while a user's writer works or waits. */
  get busy(): boolean {
    return [this.#running, ...this.#waiting].some((each) => each !== undefined && !each.turn.background);
  }

  /**
   * Works when it is this writer's turn. The signal given to the work fires with the turn's own, and for one in the background
   * also when it has to give way. KithError `interrupted` if the signal fires before, `limit-exceeded`.
   */
  async run<T>(turn: WriterTurn, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { giveWay } = await this.#turnOf(turn);
    try {
      const signal = turn.background ? AbortSignal.any([turn.signal, giveWay.signal]) : turn.signal;
      if (signal.aborted) throw reasonOf(signal);
      return await work(signal);
    } finally {
      this.#running = undefined;
      this.#next();
    }
  }

  #give(turn: WriterTurn): Running {
    this.#running = { turn, giveWay: new AbortController() };
    return this.#running;
  }

  #giveWay(): void {
    this.#running?.giveWay.abort(new KithError('interrupted', 'gave way to a command'));
  }

  async #turnOf(turn: WriterTurn): Promise<Running> {
    // Nobody takes the turn before the one whose it is has gone on: it is given away in one step with being free.
    if (this.#running === undefined) return this.#give(turn);
    if (this.#waiting.length >= waitingMax) {
      throw new KithError('limit-exceeded', `${waitingMax} commands already wait here; try again later`);
    }
    turn.onWaiting?.(this.#running.turn.name);
    if (!turn.background && this.#running.turn.background) this.#giveWay();
    return new Promise((resolve, reject) => {
      const entry: Waiting = {
        turn,
        begin: () => {
          turn.signal.removeEventListener('abort', leave);
          resolve(this.#give(turn));
        },
      };
      const leave = (): void => {
        const at = this.#waiting.indexOf(entry);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        reject(reasonOf(turn.signal));
      };
      this.#waiting.push(entry);
      if (turn.signal.aborted) leave();
      else turn.signal.addEventListener('abort', leave, { once: true });
    });
  }

  #next(): void {
    const user = this.#waiting.findIndex((each) => !each.turn.background);
    const [next] = this.#waiting.splice(Math.max(user, 0), 1);
    next?.begin();
  }
}

function reasonOf(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  return reason instanceof KithError
    ? reason
    : new KithError('interrupted', 'interrupted; run the same command again to go on', { cause: reason });
}
