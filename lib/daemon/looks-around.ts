import { isLoopbackHost, type HostPort } from '../base/host-port.ts';

/** The setting `net.lan`. Who listens on loopback alone was told to: nothing else of this computer's is opened then. */
export function looksAround(setting: string, listen: HostPort | undefined): boolean {
  const isAlone = listen !== undefined && isLoopbackHost(listen.host);
  return setting === 'on' || (setting === 'auto' && !isAlone);
}
