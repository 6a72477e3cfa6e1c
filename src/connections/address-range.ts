import { BlockList, isIP } from 'node:net';

/** Addresses that an operator has listed: each alone, or `address/prefix`. */
export class AddressRanges {
  readonly #ranges = new BlockList();

  /** @param ranges such that `isAddressRange` holds of each */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      if (prefix === undefined) this.#ranges.addAddress(address, family);
      else this.#ranges.addSubnet(address, Number(prefix), family);
    }
  }

  /** @param address in the form of an `Endpoint`; what is no IP address is in no range. */
  has(address: string): boolean {
    // A zone (RFC 4007 §11) says on which of our networks the address is.
    const [plain = ''] = address.split('%');
    const family = isIP(plain);
    return family !== 0 && this.#ranges.check(plain, family === 6 ? 'ipv6' : 'ipv4');
  }
}
