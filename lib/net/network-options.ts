import { KithError } from '../base/errors.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { CallBudgets } from './calls/call-server.ts';
import type { Directory, WantedPeer } from './directory.ts';
import type { EndpointHints } from './dialling/endpoint-hints.ts';
import type { KeyPair } from './links/link.ts';
import type { Service } from './service.ts';
import type { Timers } from './timers.ts';

export interface NetworkOptions {
  /** Who we are. */
  readonly device: KeyPair;
  /** The pair with which a device of ours that a friend doesn't know yet knocks there. */
  readonly doorstep?: KeyPair | undefined;
  /** True for a device that nobody can know yet: it always knocks with the doorstep pair. */
  readonly knocks?: boolean;
  readonly directory: Directory;
  readonly services: readonly Service[];
  readonly timers?: Timers;
  readonly random?: RandomSource;
  readonly budgets?: Partial<CallBudgets>;
  /** Where devices were seen just now: asked at each dial. */
  readonly hints?: EndpointHints;
  /** Somebody came or went, or the last try to reach somebody came to something else. */
  readonly onChange?: () => void;
  /** A peer has refused the invite that we came with: `invite-used`, `invite-expired` or `invite-refused`. Must not throw. */
  readonly onInviteRefused?: (peer: WantedPeer, error: KithError) => void;
  /** A peer sent what no honest one sends: its session has ended, and it isn't listened to for a while. Must not throw. */
  readonly onBroken?: (broken: BrokenRule) => void;
}

/** A rule that a peer broke. */
export interface BrokenRule {
  /** Whose device it is; undefined where it hadn't shown that yet: at a doorstep, or with an invite. */
  readonly identity: Uint8Array | undefined;
  /** For people. */
  readonly words: string;
  /** For how long it isn't listened to. */
  readonly waitMs: number;
}
