import type { ErrorCode } from '../base/errors.ts';
import type { IncomingCall, OutgoingReply, ServiceCaller, VersionRange } from '../net/service.ts';

/** What a plug-in is written against (docs/plugins.md): types only, so that a package needs nothing of kith when it runs. */

export type {
  CallOptions,
  CallReply,
  IncomingCall,
  OutgoingReply,
  ServiceCaller,
  VersionRange,
} from '../net/service.ts';

/** The interface that this page describes. A plug-in names the one that it was written for. */
export const pluginApi = 1;

/** A friend, as a plug-in sees one. */
export interface PluginFriend {
  /** The identity, 64 hex digits: it never changes. */
  readonly id: string;
  /** What the owner of this computer calls the friend. */
  readonly name: string;
  readonly online: boolean;
}

/** Whose device calls. */
export interface PluginCaller {
  /** The friend's identity, 64 hex digits. */
  readonly friendId: string;
  /** The device's key, 64 hex digits. */
  readonly deviceId: string;
}

/** One side's half of a service, for one device of one friend. */
export interface PluginHandler {
  /** Answers a call; calls run side by side. What is thrown becomes the caller's error: `PluginHost.error` makes one with words. */
  handle(call: IncomingCall): Promise<OutgoingReply>;
  /** The friend went away, or the grant was taken back. */
  closed?(): void;
}

/** A service that a plug-in offers to friends who are granted it. */
export interface PluginService {
  /** Lower-case words joined by slashes, two at least, such as `guestbook/notes`. It doesn't begin with `kith/`, which is kith's own. */
  readonly name: string;
  /** Of the ranges of the two sides the highest common version is used. */
  readonly versions: VersionRange;
  /** A handler that speaks the version. Only asked for a friend that is granted the service. */
  open(caller: PluginCaller, version: number): PluginHandler;
}

/** What kith gives to a plug-in. */
export interface PluginHost {
  readonly api: number;
  /** Who the owner of this computer is: 64 hex digits, and the name. */
  readonly identity: string;
  readonly name: string;
  /** A folder of the plug-in's own, mode 0700. kith never looks into it, and doesn't back it up. */
  readonly dataFolder: string;
  /** Fires when the daemon ends. */
  readonly signal: AbortSignal;
  /** A line in the daemon's log. */
  log(level: 'info' | 'warn' | 'error', text: string): void;
  friends(): readonly PluginFriend[];
  /** Calls to one of the plug-in's own services at a friend. RangeError for a service that isn't the plug-in's. */
  caller(friendId: string, service: string): ServiceCaller;
  /** Tells of friends that come and go; the result ends that. */
  onPresence(listener: (friendId: string, online: boolean) => void): () => void;
  /** An error with a code of kith's (docs/errors.md); those that may go to a friend are in docs/formats/wire.md. */
  error(code: ErrorCode, message: string): Error;
}

/** A plug-in that runs. */
export interface RunningPlugin {
  readonly services: readonly PluginService[];
  /** Asked once when the daemon ends; it has five seconds. */
  close?(): Promise<void> | void;
}

/** The default export of a plug-in's module. */
export interface KithPlugin {
  /** Called once, before friends are met; it has ten seconds. */
  start(host: PluginHost): Promise<RunningPlugin> | RunningPlugin;
}
