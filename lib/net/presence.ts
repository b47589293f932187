import type { PingStep } from './dialling/dial-steps.ts';
import type { Via } from './links/link.ts';

export type { PingStep } from './dialling/dial-steps.ts';

/** Whether somebody can be spoken to now, and if not, what the last try came to. */
export interface PeerPresence {
  readonly online: boolean;
  readonly via: Via | null;
  readonly address: string | null;
  /** True once it has accepted us at least once since this process began. */
  readonly mutual: boolean;
  /** Why the last try failed, in words; null where none did, or it is online. */
  readonly trouble: string | null;
  /** What the last try was made of, in its order; none where it is online. */
  readonly steps: readonly PingStep[];
  /** True while it says that its line is metered: no bulk is sent there. */
  readonly metered: boolean;
}
