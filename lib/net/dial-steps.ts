import { toHex } from '../base/bytes.ts';
import { isKithError, messageOf, systemCode } from '../base/errors.ts';
import type { Endpoint } from './link.ts';

/** Steps of one try that are kept: eight addresses by either key, and the ways that need none. */
export const stepCountMax = 24;

/**
 * Why a step came to nothing: it answered and didn't want us (`refused`), its computer is there and nothing listens (`closed`), nobody answered
 * (`silent`), no way leads there (`unreachable`), nobody knows its key (`not-found`), nothing is known to try (`no-address`), no friend who is
 * here relays (`no-relay`), there is a connection of that way already (`in-use`), or the rest of the try was called off (`called-off`), since it
 * dialled us, say.
 */
export type StepTrouble =
  | 'refused'
  | 'closed'
  | 'silent'
  | 'unreachable'
  | 'not-found'
  | 'no-address'
  | 'no-relay'
  | 'in-use'
  | 'called-off';

/** One way that was tried to reach somebody. */
export interface PingStep {
  readonly way: 'session' | 'lan' | 'direct' | 'dht' | 'relay';
  /** `HOST:PORT`, where the way has one. */
  readonly address: string | null;
  readonly ok: boolean;
  readonly ms: number;
  /** Why not, in words. */
  readonly message: string | null;
  readonly trouble: StepTrouble | null;
}

/** What a failed step is to a person, who can do something about it. */
export function troubleOf(way: PingStep['way'], error: unknown): StepTrouble {
  if (isKithError(error, 'interrupted')) return 'called-off';
  if (isKithError(error, 'peer-refused')) return 'refused';
  if (isKithError(error, 'peer-unreachable') && error.details['tried'] === 0) return 'no-address';
  if (isKithError(error, 'peer-unreachable') && error.details['crossed'] === true) return 'in-use';
  if (way === 'relay') return isKithError(error) && error.details['relays'] === 0 ? 'no-relay' : 'not-found';
  if (way === 'dht') return 'not-found';
  const code = systemCode(error instanceof Error ? error.cause : undefined);
  if (code === 'ECONNREFUSED') return 'closed';
  return code === undefined || code === 'ETIMEDOUT' ? 'silent' : 'unreachable';
}

/** Runs one step and tells of it, whatever becomes of it; ms by `nowMs`. Rejects as `run` does. */
export async function takeStep<T>(
  step: Pick<PingStep, 'way' | 'address'>,
  nowMs: () => number,
  tell: ((step: PingStep) => void) | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const beganMs = nowMs();
  try {
    const result = await run();
    tell?.({ ...step, ok: true, ms: nowMs() - beganMs, message: null, trouble: null });
    return result;
  } catch (error) {
    const trouble = troubleOf(step.way, error);
    tell?.({ ...step, ok: false, ms: nowMs() - beganMs, message: messageOf(error), trouble });
    throw error;
  }
}

/** By which way an address is dialled over TCP. */
export function wayOf({ lan }: Endpoint): 'lan' | 'direct' {
  return lan === true ? 'lan' : 'direct';
}

/** The steps of the last try to reach each device, for people to read. In memory, of wanted devices only. */
export class DialJournal {
  readonly #last = new Map<string, readonly PingStep[]>();

  /** Begins a try; what is told of it counts once `end` is called, and no longer than until the next has ended. */
  begin(deviceId: Uint8Array): {
    readonly steps: readonly PingStep[];
    readonly tell: (step: PingStep) => void;
    readonly end: () => void;
  } {
    const steps: PingStep[] = [];
    return {
      steps,
      tell: (step) => {
        if (steps.length < stepCountMax) steps.push(step);
      },
      end: () => {
        // A try that was called off at once says less than the one before.
        const isEmpty = steps.every(({ trouble }) => trouble === 'called-off');
        if (!isEmpty) this.#last.set(toHex(deviceId), steps);
      },
    };
  }

  of(deviceId: Uint8Array): readonly PingStep[] {
    return this.#last.get(toHex(deviceId)) ?? [];
  }

  /** It was reached: what failed before is of no interest. */
  forget(deviceId: Uint8Array): void {
    this.#last.delete(toHex(deviceId));
  }

  /** Keeps those of the given devices (hex) only. */
  keep(devices: ReadonlySet<string>): void {
    for (const device of this.#last.keys()) if (!devices.has(device)) this.#last.delete(device);
  }
}
