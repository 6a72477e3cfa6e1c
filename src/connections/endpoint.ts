import type { Socket } from 'node:net';
import { ipOctets, ipText } from './ip-octets.ts';

/** One end of a TCP connection. One address has one spelling: IPv6 in its short form, IPv4 never inside IPv6. */
export type Endpoint = { readonly address: string; readonly port: number };

export function endpoint(address: string, port: number): Endpoint {
  return { address: plainAddress(address), port };
}

export function remoteOf(socket: Socket): Endpoint {
  return endpoint(socket.remoteAddress ?? '', socket.remotePort ?? 0);
}

export function localOf(socket: Socket): Endpoint {
  return endpoint(socket.localAddress ?? '', socket.localPort ?? 0);
}

/** RFC 4291 §2.5.5.2: an IPv4 address as an IPv6 one. */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

function plainAddress(address: string): string {
  const octets = ipOctets(address);
  // With a zone (RFC 4007 §11) it is an address of this link, and no IPv4 address.
  if (octets === null) return address;
  return ipText(octets.length === 16 && octets.subarray(0, 12).equals(MAPPED) ? octets.subarray(12) : octets);
}
