import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { AddressRanges } from '../connections/address-range.ts';

export type OwnPlaces = {
  /** Of those that take mail; addresses, or names. */
  listeners: readonly { host: string; port: number }[];
  /** At which mail servers are called. */
  port: number;
  /** Addresses and ranges that an operator has named. */
  named: readonly string[];
  /** Those of this machine, which come and go; absent: as the system has them. */
  ofMachine?: () => readonly string[];
};

/**
 * Whether a mail server with this address is this gateway: one of its listeners would answer there. A server beside it on the same machine, at
 * an address or a port of its own, is another one.
 */
export function isOwnAddress({
  listeners,
  port,
  named,
  ofMachine = addressesOfMachine,
}: OwnPlaces): (address: string) => boolean {
  const hosts = listeners.filter((one) => one.port === port).map(({ host }) => host);
  const listed = new AddressRanges([...named, ...hosts.filter((host) => isIP(host) !== 0)]);
  const everywhere = hosts.some((host) => host === '0.0.0.0' || host === '::');
  return (address) => listed.has(address) || (everywhere && new AddressRanges(ofMachine()).has(address));
}

function addressesOfMachine(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((some = []) =>
    some.map(({ address }) => address.split('%')[0] ?? ''),
  );
}
