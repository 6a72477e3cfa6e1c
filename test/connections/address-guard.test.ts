import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AddressGuard } from '../../src/connections/address-guard.ts';

const guard = new AddressGuard();

describe('addresses that a certificate may send us to', () => {
  test.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450:4001::1'])(
    '%s is public',
    (address) => expect(guard.permits(address)).toBe(true),
  );

  test.each([
    ...['127.0.0.1', '127.255.255.254', '0.0.0.0', '0.1.2.3', '10.0.0.1', '172.16.0.1', '172.31.255.255'],
    ...[
      '192.168.1.1',
      '169.254.169.254',
      '100.64.0.1',
      '192.0.0.8',
      '198.18.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ],
    ...['240.0.0.1', '::', '::1', 'fe80::1', 'fe80::1%eth0', 'fc00::1', 'fd12:3456::1', 'ff02::1', 'fec0::1'],
    // IPv4 addresses inside of IPv6 ones: mapped, compatible, NAT64, 6to4, Teredo.
    ...['::ffff:127.0.0.1', '::ffff:7f00:1', '::FFFF:10.0.0.1', '0:0:0:0:0:ffff:a9fe:a9fe', '::127.0.0.1'],
    ...[
      '64:ff9b::7f00:1',
      '64:ff9b:1::1',
      '2002:7f00:1::',
      '2001:0:4136:e378::',
      '2001:db8::1',
      '3fff::1',
      '100::1',
    ],
    ...['localhost', '', '1.1.1', '0x7f.1', '127.1', '2130706433', '[::1]', '1.1.1.1 '],
  ])('%s is not', (address) => expect(guard.permits(address)).toBe(false));

  test('what an operator has listed, in every spelling, and nothing beside it', () => {
    const listed = new AddressGuard(['10.1.0.0/16', '192.168.7.7', 'fd00:1::/32', '::1']);
    for (const address of [
      '10.1.255.1',
      '::ffff:10.1.0.1',
      '::ffff:a01:1',
      '192.168.7.7',
      'fd00:1::9',
      '::1',
    ]) {
      expect(listed.permits(address), address).toBe(true);
    }
    for (const address of ['10.2.0.1', '192.168.7.8', 'fd00:2::1', '::2', '127.0.0.1', '::ffff:10.2.0.1']) {
      expect(listed.permits(address), address).toBe(false);
    }
  });

  test('a mapped address is judged as the address it is', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        expect(guard.permits(`::ffff:${address}`)).toBe(guard.permits(address));
      }),
    );
  });

  test('no text makes it throw', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.ipV6(),
      fc.ipV6().map((address) => `${address}%1`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(typeof guard.permits(text)).toBe('boolean');
      }),
    );
  });
});
