import { isIPv4, isIPv6 } from 'node:net';
import { limits } from '../limits.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import { ipText } from './ip-octets.ts';

/**
 * The header of the PROXY protocol (HAProxy's proxy-protocol.txt, versions 1 and 2), with which a load balancer says whose
 * connection it hands on.
 *
 *   v1 = "PROXY" SP ("TCP4" / "TCP6") SP source SP destination SP port SP port CRLF
 *      / "PROXY UNKNOWN" *octet CRLF                                          ; 107 octets at most
 *   v2 = signature version-and-command family length *octet                   ; addresses, then TLVs
 *
 * Must never happen: that an address is taken from something that is no header, or from half of one. So what is not exactly
 * the grammar is malformed. TLVs are passed over: nothing of what they say is believed.
 */
export type ProxyHeader =
  | { kind: 'proxied'; source: Endpoint; destination: Endpoint }
  /** The balancer's own connection (a health check), or one whose ends it does not know: the connection's own ends count. */
  | { kind: 'own' };

export type ProxyReading =
  /** Octets are missing. */
  | { kind: 'more' }
  /** `octets`: length of the header; what is behind it is the client's. */
  | { kind: 'header'; header: ProxyHeader; octets: number }
  | { kind: 'malformed'; reason: string };

export const SIGNATURE_2: Buffer = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const SIGNATURE_1: Buffer = Buffer.from('PROXY ', 'latin1');
/** Of version 1, line end included. */
const LINE_OCTETS = 107;
const MORE: ProxyReading = { kind: 'more' };
const OWN: ProxyHeader = { kind: 'own' };

/** Reads the header that `octets` begin with. Never throws. */
export function readProxyHeader(octets: Buffer): ProxyReading {
  if (beginsLike(octets, SIGNATURE_1))
    return octets.length < SIGNATURE_1.length ? MORE : readVersion1(octets);
  if (beginsLike(octets, SIGNATURE_2))
    return octets.length < 16 ? shortVersion2(octets) : readVersion2(octets);
  return malformed('it does not begin with a PROXY header');
}

function beginsLike(octets: Buffer, signature: Buffer): boolean {
  const length = Math.min(octets.length, signature.length);
  return octets.compare(signature, 0, length, 0, length) === 0;
}

function readVersion1(octets: Buffer): ProxyReading {
  const end = octets.subarray(0, LINE_OCTETS).indexOf('\r\n');
  if (end === -1) return octets.length < LINE_OCTETS ? MORE : malformed('the line is too long');
  const line = octets.toString('latin1', 0, end);
  const header = /^PROXY UNKNOWN(?: |$)/.test(line) ? OWN : readAddresses(line);
  if (header === null) return malformed('the line is not in the grammar');
  return { kind: 'header', header, octets: end + 2 };
}

function readAddresses(line: string): ProxyHeader | null {
  const found = /^PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/.exec(
    line,
  );
  if (found === null) return null;
  const [, family, source = '', destination = '', sourcePort, destinationPort] = found;
  const isAddress = family === '4' ? isIPv4 : isIPv6;
  const [from, to] = [Number(sourcePort), Number(destinationPort)];
  if (!isAddress(source) || !isAddress(destination) || from > 65_535 || to > 65_535) return null;
  return { kind: 'proxied', source: endpoint(source, from), destination: endpoint(destination, to) };
}

/** Of the first sixteen octets some are missing; those that are there may be wrong already. */
function shortVersion2(octets: Buffer): ProxyReading {
  const [command, family] = octets.subarray(SIGNATURE_2.length);
  return (command !== undefined && !COMMANDS.has(command)) || (family !== undefined && !ADDRESSES.has(family))
    ? malformed('its command or family is not known')
    : MORE;
}

const LOCAL = 0x20;
const COMMANDS: ReadonlySet<number> = new Set([LOCAL, 0x21]);
/** Families with the octets of their addresses; of those without TCP addresses nothing is taken. */
const ADDRESSES: ReadonlyMap<number, { octets: number; ip: 0 | 4 | 16 }> = new Map([
  [0x00, { octets: 0, ip: 0 }],
  [0x11, { octets: 12, ip: 4 }],
  [0x21, { octets: 36, ip: 16 }],
  [0x31, { octets: 216, ip: 0 }],
]);

function readVersion2(octets: Buffer): ProxyReading {
  const command = octets.readUInt8(12);
  const family = ADDRESSES.get(octets.readUInt8(13));
  if (!COMMANDS.has(command) || family === undefined) return malformed('its command or family is not known');
  const length = octets.readUInt16BE(14);
  if (16 + length > limits.connections.proxyHeaderOctets) return malformed('it is too long');
  // A LOCAL header may leave its addresses out.
  if (command !== LOCAL && length < family.octets) return malformed('it is too short for its addresses');
  if (octets.length < 16 + length) return MORE;
  const header = command === LOCAL || family.ip === 0 ? OWN : addressesIn(octets.subarray(16), family.ip);
  return { kind: 'header', header, octets: 16 + length };
}

function addressesIn(block: Buffer, ip: 4 | 16): ProxyHeader {
  return {
    kind: 'proxied',
    source: endpoint(ipText(block.subarray(0, ip)), block.readUInt16BE(2 * ip)),
    destination: endpoint(ipText(block.subarray(ip, 2 * ip)), block.readUInt16BE(2 * ip + 2)),
  };
}

function malformed(reason: string): ProxyReading {
  return { kind: 'malformed', reason };
}
