import type { Via } from './link.ts';

/** Whether somebody can be spoken to now, and if not, what the last try came to. */
export interface PeerPresence {
  readonly online: boolean;
  readonly via: Via | null;
  readonly address: string | null;
  /** True once it has accepted us at least once since this process began. */
  readonly mutual: boolean;
  /** Why the last try failed, in words; null where none did, or it is online. */
  readonly trouble: string | null;
}

/** One way that was tried to reach somebody. */
export interface PingStep {
  readonly way: 'session' | 'direct' | 'dht' | 'relay';
  readonly address: string | null;
  readonly ok: boolean;
  readonly ms: number;
  readonly message: string | null;
}
