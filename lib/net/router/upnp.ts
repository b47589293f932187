import { createSocket } from 'node:dgram';
import { request } from 'node:http';
import { KithError } from '../../base/errors.ts';
import { addressClass } from '../address-class.ts';
import type { Mapping } from './nat-pmp.ts';

/** UPnP's Internet Gateway Device, as little of it as opens a port. Everything that answers is taken for hostile. */

/** Where devices are asked to show themselves. */
export const ssdpGroup: { readonly host: string; readonly port: number } = {
  host: '239.255.255.250',
  port: 1900,
};

/** How long answers are gathered, and how many are followed. */
const searchMs = 1_500;
const answersMax = 4;

/** A description or an answer: routers send some kilobytes. */
const bodyBytesMax = 128 * 1024;
const httpMsMax = 3_000;

const services = /^urn:schemas-upnp-org:service:(WANIPConnection:[12]|WANPPPConnection:1)$/;

/** A router's service that opens ports. */
export interface UpnpGateway {
  /** URL that questions are posted to: on the very host that answered. */
  readonly control: string;
  readonly service: string;
}

/** The `LOCATION` of an answer, if it leads to the very host that the answer came from, and that host is in a private network. */
export function locationOf(answer: string, from: string): URL | undefined {
  const text = /^location:[ \t]*(\S{1,512})[ \t]*$/im.exec(answer)?.[1];
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const kind = addressClass(from);
  const isNear = kind === 'private' || kind === 'loopback' || kind === 'link';
  return url.protocol === 'http:' && url.hostname === from && isNear ? url : undefined;
}

/** The first service in a description that opens ports; its control URL stays on the description's host. */
export function gatewayOf(description: string, location: URL): UpnpGateway | undefined {
  for (const part of description.split(/<service>/i).slice(1)) {
    const service = /<serviceType>\s*([^<\s]{1,128})\s*<\/serviceType>/i.exec(part)?.[1];
    const path = /<controlURL>\s*([^<\s]{1,512})\s*<\/controlURL>/i.exec(part)?.[1];
    if (service === undefined || path === undefined || !services.test(service)) continue;
    if (!URL.canParse(path, location.href)) continue;
    const control = new URL(path, location);
    if (control.protocol === 'http:' && control.hostname === location.hostname)
      return { control: control.href, service };
  }
  return undefined;
}

/** The text of one element; undefined where it isn't there. */
export function elementOf(body: string, name: string): string | undefined {
  return new RegExp(`<${name}[^>]{0,256}>([^<]{0,256})</${name}>`, 'i').exec(body)?.[1]?.trim();
}

interface Search {
  readonly group?: { readonly host: string; readonly port: number };
  /** An address of this computer, from which is asked. */
  readonly address: string;
}

/** Who answers a search, with where its description is. Never rejects but for the signal. */
async function search({ group = ssdpGroup, address }: Search, signal: AbortSignal): Promise<URL[]> {
  signal.throwIfAborted();
  const found = new Map<string, URL>();
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => {
    const over = setTimeout(resolve, searchMs);
    const end = (): void => {
      clearTimeout(over);
      resolve();
    };
    signal.addEventListener('abort', end, { once: true });
    socket.once('close', () => signal.removeEventListener('abort', end));
    socket.on('error', end);
    socket.on('message', (bytes, from) => {
      const url = locationOf(bytes.toString('latin1', 0, 2048), from.address);
      if (url !== undefined && found.size < answersMax) found.set(url.href, url);
      // One router is what there is.
      if (found.size > 0) end();
    });
    socket.bind({ address, port: 0 }, () => {
      const target = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1';
      const lines = [
        'M-SEARCH * HTTP/1.1',
        `HOST: ${ssdpGroup.host}:${ssdpGroup.port}`,
        'MAN: "ssdp:discover"',
        'MX: 1',
        `ST: ${target}`,
      ];
      try {
        if (group.host === ssdpGroup.host) socket.setMulticastInterface(address);
        socket.send(`${lines.join('\r\n')}\r\n\r\n`, group.port, group.host);
      } catch {
        end();
      }
    });
  });
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  signal.throwIfAborted();
  return [...found.values()];
}

/** One request; follows no redirects. KithError `io-error` for anything but 200, `limit-exceeded` for a long answer. */
async function fetchText(
  url: string,
  post: { readonly action: string; readonly body: string } | undefined,
  signal: AbortSignal,
): Promise<string> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(httpMsMax)]);
  return await new Promise<string>((resolve, reject) => {
    const headers =
      post === undefined
        ? {}
        : {
            'content-type': 'text/xml; charset="utf-8"',
            'content-length': Buffer.byteLength(post.body),
            soapaction: `"${post.action}"`,
          };
    const method = post === undefined ? 'GET' : 'POST';
    const call = request(url, { method, headers, signal: limit, agent: false }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
        if (text.length > bodyBytesMax) {
          call.destroy(new KithError('limit-exceeded', 'a router that doesn’t stop talking'));
        }
      });
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode === 200) resolve(text);
        else reject(new KithError('io-error', `the router refused it (HTTP ${answer.statusCode ?? 0})`));
      });
    });
    call.on('error', reject);
    call.end(post?.body);
  });
}

/** Looks for a router on the network of one of this computer's addresses. Undefined where none answers. */
export async function findUpnpGateway(
  options: Search,
  signal: AbortSignal,
): Promise<UpnpGateway | undefined> {
  for (const location of await search(options, signal)) {
    const description = await fetchText(location.href, undefined, signal).catch(() => '');
    signal.throwIfAborted();
    const gateway = gatewayOf(description, location);
    if (gateway !== undefined) return gateway;
  }
  return undefined;
}

async function act(
  { control, service }: UpnpGateway,
  action: string,
  fields: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string> {
  const inner = Object.entries(fields).map(([name, value]) => `<${name}>${value}</${name}>`);
  const body = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:${action} xmlns:u="${service}">${inner.join('')}</u:${action}></s:Body></s:Envelope>`;
  return await fetchText(control, { action: `${service}#${action}`, body }, signal);
}

/** The router's address outside, as it says; '' where it says none. */
export async function upnpExternalAddress(gateway: UpnpGateway, signal: AbortSignal): Promise<string> {
  const answer = await act(gateway, 'GetExternalIPAddress', {}, signal);
  return elementOf(answer, 'NewExternalIPAddress') ?? '';
}

/** Has the router pass a port on to `client`, an address of this computer; lifetime 0 takes it back. KithError `io-error` if it refuses. */
export async function upnpMap(
  gateway: UpnpGateway,
  client: string,
  { protocol, internalPort, externalPort, lifetime }: Mapping,
  signal: AbortSignal,
): Promise<void> {
  const key = {
    NewRemoteHost: '',
    NewExternalPort: `${externalPort}`,
    NewProtocol: protocol.toUpperCase(),
  };
  if (lifetime === 0) {
    await act(gateway, 'DeletePortMapping', key, signal);
    return;
  }
  const rest = {
    NewInternalPort: `${internalPort}`,
    NewInternalClient: client,
    NewEnabled: '1',
    NewPortMappingDescription: 'kith',
    NewLeaseDuration: `${lifetime}`,
  };
  await act(gateway, 'AddPortMapping', { ...key, ...rest }, signal);
}
