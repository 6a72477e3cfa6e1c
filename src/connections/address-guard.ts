import { BlockList, isIP } from 'node:net';

/**
 * Which addresses a stranger's certificate may send us to. Whatever is not plainly an address of the public Internet is
 * refused unless an operator has listed it: this machine, its networks, the metadata service of a cloud.
 *
 * Must never happen: one address in two spellings that are judged differently. So an IPv6 address that carries an IPv4
 * address in its mapped form is judged as that one, and other ways of carrying one are refused.
 */
export class AddressGuard {
  readonly #allowed = new BlockList();

  /** @param allowed addresses or `address/prefix`, IPv4 or IPv6: reachable although they are not public */
  constructor(allowed: readonly string[] = []) {
    for (const range of allowed) {
      const [address = '', prefix] = range.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      if (prefix === undefined) this.#allowed.addAddress(address, family);
      else this.#allowed.addSubnet(address, Number(prefix), family);
    }
  }

  /** @param address as a resolver gives it; anything that is no IP address is refused */
  permits(address: string): boolean {
    const [plain = ''] = address.split('%');
    const mapped = mappedIpv4(plain);
    const judged = mapped ?? plain;
    switch (isIP(judged)) {
      case 4:
        return this.#allowed.check(judged, 'ipv4') || !NOT_PUBLIC_4.check(judged, 'ipv4');
      case 6:
        if (this.#allowed.check(judged, 'ipv6')) return true;
        return GLOBAL_6.check(judged, 'ipv6') && !NOT_PUBLIC_6.check(judged, 'ipv6');
      default:
        return false;
    }
  }
}

/** RFC 6890 and what IANA has added to its registry since: IPv4. */
const NOT_PUBLIC_4 = subnets('ipv4', [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  // Multicast, what is reserved, and the broadcast address.
  '224.0.0.0/4',
  '240.0.0.0/4',
]);

/** RFC 4291 §2.4: the only part of IPv6 from which public addresses are given out. */
const GLOBAL_6 = subnets('ipv6', ['2000::/3']);

/** Inside of that part: protocol assignments with Teredo, documentation, and 6to4, which leads to any IPv4 address. */
const NOT_PUBLIC_6 = subnets('ipv6', ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']);

function subnets(family: 'ipv4' | 'ipv6', ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', prefix] = range.split('/');
    list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** RFC 4291 §2.5.5.2, in any spelling; null: another address. */
function mappedIpv4(address: string): string | null {
  if (isIP(address) !== 6) return null;
  // The URL parser writes every IPv6 address in one spelling.
  const canonical = new URL(`http://[${address}]/`).hostname;
  const groups = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(canonical);
  if (groups === null) return null;
  const [high, low] = [Number.parseInt(groups[1] ?? '', 16), Number.parseInt(groups[2] ?? '', 16)];
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}
