import type { Endpoint } from './endpoint.ts';
import { ipOctets, ipText } from './ip-octets.ts';
import { SIGNATURE_2 } from './proxy-header.ts';

export type ProxyVersion = 'v1' | 'v2';

/** Whose connection is handed on: the client's end and the one that it connected to. */
export type ProxiedConnection = { source: Endpoint; destination: Endpoint };

/**
 * The header that a connection to a mail server begins with (HAProxy's proxy-protocol.txt).
 *
 * @param connection null: our own connection, which stands for nobody else's
 */
export function proxyHeader(version: ProxyVersion, connection: ProxiedConnection | null): Buffer {
  const source = connection === null ? null : octetsOf(connection.source);
  const destination = connection === null ? null : octetsOf(connection.destination);
  if (connection === null || source === null || destination === null) {
    return version === 'v1' ? Buffer.from('PROXY UNKNOWN\r\n') : version2(0x20, 0x00, []);
  }
  // Both in one family: IPv4 in its mapped form beside IPv6 (RFC 4291 §2.5.5.2).
  const ipv4 = source.length === 4 && destination.length === 4;
  const [from, to] = ipv4 ? [source, destination] : [mapped(source), mapped(destination)];
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(connection.source.port, 0);
  ports.writeUInt16BE(connection.destination.port, 2);
  if (version === 'v2') return version2(0x21, ipv4 ? 0x11 : 0x21, [from, to, ports]);
  const family = ipv4 ? 'TCP4' : 'TCP6';
  const { source: client, destination: server } = connection;
  return Buffer.from(`PROXY ${family} ${ipText(from)} ${ipText(to)} ${client.port} ${server.port}\r\n`);
}

function octetsOf({ address }: Endpoint): Buffer | null {
  // The zone (RFC 4007 §11) means something on this machine only.
  return ipOctets(address.split('%')[0] ?? '');
}

function mapped(octets: Buffer): Buffer {
  return octets.length === 16 ? octets : Buffer.concat([Buffer.alloc(10), Buffer.from([0xff, 0xff]), octets]);
}

function version2(command: number, family: number, parts: readonly Buffer[]): Buffer {
  const block = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeUInt8(command, 0);
  head.writeUInt8(family, 1);
  head.writeUInt16BE(block.length, 2);
  return Buffer.concat([SIGNATURE_2, head, block]);
}
