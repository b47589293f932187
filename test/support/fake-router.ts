import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { atEnd } from './at-end.ts';

/** A router on loopback that answers NAT-PMP; `asked` has what it was asked, as hex. */
export async function natPmpRouter(
  test: TestContext,
  answer: (question: Buffer) => Uint8Array | undefined,
): Promise<{ readonly host: string; readonly port: number; readonly asked: string[] }> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (question, from) => {
    asked.push(question.toString('hex'));
    const said = answer(question);
    if (said !== undefined) socket.send(said, from.port, from.address);
  });
  socket.bind({ address: '127.0.0.1', port: 0 });
  await once(socket, 'listening');
  atEnd(test, () => new Promise<void>((resolve) => socket.close(() => resolve())));
  return { host: '127.0.0.1', port: socket.address().port, asked };
}

/** What a router with the address 198.51.100.7 says: every port as it was asked, for as long as was asked. */
export function granting(question: Buffer): Uint8Array {
  const opcode = question[1] ?? 0;
  if (opcode === 0) return new Uint8Array([0, 128, 0, 0, 0, 0, 0, 1, 198, 51, 100, 7]);
  const answer = Buffer.alloc(16);
  answer[1] = 128 + opcode;
  question.copy(answer, 8, 4, 8);
  question.copy(answer, 12, 8, 12);
  return answer;
}

/** A router on loopback that answers UPnP; `asked` has the actions it was asked for, with their bodies. */
export async function upnpRouter(
  test: TestContext,
  options: { readonly controlHost?: string; readonly refuses?: boolean } = {},
): Promise<{ readonly host: string; readonly port: number; readonly asked: string[] }> {
  const asked: string[] = [];
  const server = createServer((call, answer) => {
    let body = '';
    call.on('data', (part: Buffer) => (body += part.toString()));
    call.on('end', () => {
      if (call.method === 'GET') {
        const path = options.controlHost === undefined ? '/control' : `http://${options.controlHost}/control`;
        answer.end(
          `<root><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/wrong</controlURL></service><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>${path}</controlURL></service></serviceList></device></root>`,
        );
        return;
      }
      const action = /#(\w+)"/.exec(String(call.headers['soapaction']))?.[1] ?? '';
      const words = body
        .replace(/^.*<s:Body>/, '')
        .replace(/<[^>]*>/g, ' ')
        .split(/ +/);
      asked.push([action, ...words.filter((word) => word !== '')].join(' '));
      if (options.refuses === true && action === 'AddPortMapping') answer.statusCode = 500;
      answer.end('<r><NewExternalIPAddress>198.51.100.7</NewExternalIPAddress></r>');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = createSocket('udp4');
  socket.on('message', (_, from) => {
    const lines = ['HTTP/1.1 200 OK', `LOCATION: http://127.0.0.1:${port}/root.xml`, '', ''];
    socket.send(lines.join('\r\n'), from.port, from.address);
  });
  socket.bind({ address: '127.0.0.1', port: 0 });
  await once(socket, 'listening');
  atEnd(test, async () => {
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { host: '127.0.0.1', port: socket.address().port, asked };
}
