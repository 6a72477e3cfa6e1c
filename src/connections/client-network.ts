import { ipOctets, ipText } from './ip-octets.ts';

/** RFC 6052 §2.1: IPv4 clients that a translator brings to a server that speaks IPv6; all of them in one /64. */
const TRANSLATED = Buffer.from('0064ff9b0000000000000000', 'hex');

/**
 * What stands for one client where clients are counted: an IPv4 address, translated or not, or the /64 of an IPv6 one, of which any host
 * may take as many as it likes (RFC 4291 §2.5.4).
 *
 * @param address in the form of an `Endpoint`
 */
export function clientNetwork(address: string): string {
  const octets = ipOctets(address.split('%')[0] ?? '');
  if (octets === null || octets.length === 4) return address;
  if (octets.subarray(0, 12).equals(TRANSLATED)) return ipText(octets.subarray(12));
  const network = Buffer.alloc(16);
  octets.copy(network, 0, 0, 8);
  return `${ipText(network)}/64`;
}

/**
 * The network around a client, as one customer of a provider has it: a /24 of IPv4, translated or not, a /48 of IPv6 (RFC 6177 §2).
 *
 * @param address in the form of an `Endpoint`
 */
export function surroundingNetwork(address: string): string {
  const all = ipOctets(address.split('%')[0] ?? '');
  if (all === null) return address;
  const octets = all.length === 16 && all.subarray(0, 12).equals(TRANSLATED) ? all.subarray(12) : all;
  const [kept, prefix] = octets.length === 4 ? [3, 24] : [6, 48];
  const network = Buffer.alloc(octets.length);
  octets.copy(network, 0, 0, kept);
  return `${ipText(network)}/${prefix}`;
}
