import { KithError, messageOf, systemCode } from '../../base/errors.ts';
import { hostPort } from '../links/stream-link.ts';

/** What a failure to listen means to people: `address-taken`, `usage` for an address that isn't ours, else `io-error`. */
export function listenError(error: unknown, protocol: 'TCP' | 'UDP', host: string, port: number): KithError {
  const address = hostPort(host, port);
  const details = { host, port, protocol };
  switch (systemCode(error)) {
    case 'EADDRINUSE':
      return new KithError(
        'address-taken',
        `${protocol} ${address} is taken by another program. Choose another port: kith up --listen HOST:PORT`,
        { details, cause: error },
      );
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new KithError(
        'usage',
        `${host} is no address of this computer. Give one that is: kith up --listen HOST:PORT`,
        { details, cause: error },
      );
    case 'EACCES':
      return new KithError(
        'usage',
        `no permission to listen on ${address}. Choose a port over 1023: kith up --listen HOST:PORT`,
        { details, cause: error },
      );
    default:
      return new KithError('io-error', `can't listen on ${protocol} ${address}: ${messageOf(error)}`, {
        details,
        cause: error,
      });
  }
}
