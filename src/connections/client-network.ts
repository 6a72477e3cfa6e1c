import { ipOctets, ipText } from './ip-octets.ts';

/**
 * What stands for one client where clients are counted: an IPv4 address, or the /64 of an IPv6 one, of which any host may take as many
 * as it likes (RFC 4291 §2.5.4).
 *
 * @param address in the form of an `Endpoint`
 */
export function clientNetwork(address: string): string {
  const octets = ipOctets(address.split('%')[0] ?? '');
  if (octets === null || octets.length === 4) return address;
  const network = Buffer.alloc(16);
  octets.copy(network, 0, 0, 8);
  return `${ipText(network)}/64`;
}
