import type { Link, Via } from './link.ts';
import type { SecretStream } from './secret-stream.d.ts';

/** An empty message goes out when nothing else has for so long … */
export const keepAliveMs = 5_000;

/** … so that a silence of this length means that the other end is gone. */
export const silenceMsMax = 18_000;

/** How long a link that is closed may take to send what is under way and hear the other end's goodbye. */
const goodbyeMsMax = 1_000;

/** Ports that look like `[::1]:4747` or `10.0.0.1:4747`. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The link over an open secret stream. From here on its errors are heard, and a silent peer ends it. */
export function streamLink(stream: SecretStream, via: Via, remoteAddress: string): Link {
  stream.on('error', () => {});
  stream.setKeepAlive(keepAliveMs);
  stream.setTimeout(silenceMsMax);
  const closed = new Promise<void>((resolve) => {
    if (stream.destroyed) resolve();
    else stream.once('close', resolve);
  });
  let closing: Promise<void> | undefined;
  return {
    remoteKey: new Uint8Array(stream.remotePublicKey),
    localKey: new Uint8Array(stream.publicKey),
    isInitiator: stream.isInitiator,
    via,
    remoteAddress,
    handshakeHash: new Uint8Array(stream.handshakeHash),
    stream,
    closed,
    close: () => {
      closing ??= endStream(stream, closed);
      return closing;
    },
  };
}

async function endStream(stream: SecretStream, closed: Promise<void>): Promise<void> {
  const timer = setTimeout(() => stream.destroy(), goodbyeMsMax);
  stream.end();
  await closed;
  clearTimeout(timer);
}
