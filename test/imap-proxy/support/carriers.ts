import { createSecureContext } from 'node:tls';
import type { ImapListenerOptions } from '../../../src/imap-proxy/listener.ts';
import type { TlsMaterial } from '../../support/certificate.ts';
import type { ImapConversation } from './imap-conversation.ts';
import type { LayeredSocket } from './layered-socket.ts';
import type { Story } from './session-stories.ts';

/** What is between the gateway and one of its peers. */
export type Carrier = { tls: 'none' | 'implicit' | 'starttls'; deflated: boolean };

export const PLAIN: Carrier = { tls: 'none', deflated: false };

export const CARRIERS: Readonly<Record<string, Carrier>> = {
  deflated: { tls: 'none', deflated: true },
  'implicit TLS': { tls: 'implicit', deflated: false },
  STARTTLS: { tls: 'starttls', deflated: false },
  'deflated in implicit TLS': { tls: 'implicit', deflated: true },
  'deflated in STARTTLS': { tls: 'starttls', deflated: true },
};

export type Carriers = { client: Carrier; server: Carrier };

/** What the gateway is told of them. */
export function optionsOf(
  { client, server }: Carriers,
  { cert, key, file: caFile }: TlsMaterial,
  port: number,
): Partial<ImapListenerOptions> {
  const { tls } = server;
  return {
    tls: client.tls,
    ...(client.tls === 'none' ? {} : { secureContext: createSecureContext({ cert, key }) }),
    upstream: {
      host: '127.0.0.1',
      port,
      tls,
      ...(tls === 'none' ? {} : { caFile, serverName: 'localhost' }),
    },
    compressUpstream: server.deflated,
  };
}

/** What a mail server says to what is about carriers; null: to nothing else. */
export function answersOf({ server }: Carriers, capabilities: string): (command: string) => string | null {
  return (command) => {
    if (command === 'CAPABILITY')
      return `* CAPABILITY ${withCompress(server, capabilities)}\r\nTAG OK done\r\n`;
    if (command === 'STARTTLS') return 'TAG OK begin\r\n';
    return command === 'COMPRESS DEFLATE' && server.deflated ? 'TAG OK begin\r\n' : null;
  };
}

export function withCompress({ deflated }: Carrier, capabilities: string): string {
  return deflated ? `${capabilities} COMPRESS=DEFLATE` : capabilities;
}

/** What the mail server has said may change what is under it. */
export function afterSaying(text: string, socket: LayeredSocket, material: TlsMaterial): void {
  if (text.startsWith('S1 OK begin')) socket.startTls(material);
  if (text.startsWith('S5 OK begin')) socket.deflate();
}

/** Says a story, as its carrier has it, TLS from the first octet aside; returns what was heard of it. */
export async function sayStory(
  client: ImapConversation,
  socket: LayeredSocket,
  { says }: Story,
  { tls, deflated }: Carrier,
  material: TlsMaterial,
): Promise<string> {
  let heard = await client.until(/^\* OK[^\r]*\r\n/);
  if (tls === 'starttls') {
    client.send('t STARTTLS\r\n');
    await client.until(/^t OK[^\r]*\r\n/);
    socket.startTls(material);
  }
  for (const [octets, until] of says) {
    client.send(octets);
    heard += await client.until(new RegExp(`${until.source}[^\\r]*\\r\\n`, until.flags));
    if (!deflated || !until.source.startsWith('^l OK')) continue;
    client.send('d COMPRESS DEFLATE\r\n');
    await client.until(/^d OK[^\r]*\r\n/m);
    socket.deflate();
  }
  return heard;
}
