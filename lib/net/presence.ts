import type { PingStep } from './dialling/dial-steps.ts';
import type { Via } from './links/link.ts';

export type { PingStep } from './dialling/dial-steps.ts';

/** What the last try to reach a device came to. */
export interface Trouble {
  /** For people. */
  readonly words: string;
  /** True where the device itself said that it takes ours for none of our identity's. */
  readonly disowned: boolean;
}

/** Whether somebody can be spoken to now, and if not, what the last try came to. */
export interface PeerPresence {
  readonly online: boolean;
  readonly via: Via | null;
  readonly address: string | null;
  /** True once it has accepted us at least once since this process began. */
  readonly mutual: boolean;
  /** Why the last try failed, in words; null where none did, or it is online. */
  readonly trouble: string | null;
  /** True where in the last try a device of it said itself that it takes this one for none of our identity's. */
  readonly disowned: boolean;
  /** What the last try was made of, in its order; none where it is online. */
  readonly steps: readonly PingStep[];
  /** True while it says that its line is metered: no bulk is sent there. */
  readonly metered: boolean;
}
