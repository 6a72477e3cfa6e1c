import { isIPv6 } from 'node:net';
import { expect, test } from 'vitest';
import { ipOctets, ipText } from '../../src/connections/ip-octets.ts';
import { readProxyHeader, SIGNATURE_2 } from '../../src/connections/proxy-header.ts';
import { proxyHeader } from '../../src/connections/write-proxy-header.ts';

const ends = {
  source: { address: '192.0.2.7', port: 40_001 },
  destination: { address: '198.51.100.9', port: 993 },
};

function version2(command: number, family: number, block: Buffer): Buffer {
  return Buffer.concat([
    SIGNATURE_2,
    Buffer.from([command, family, block.length >> 8, block.length & 255]),
    block,
  ]);
}

const IPV4 = Buffer.from('c0000207c6336409' + '9c4103e1', 'hex');

test.each<[string, Buffer, object]>([
  [
    'v1 over IPv4',
    Buffer.from('PROXY TCP4 192.0.2.7 198.51.100.9 40001 993\r\n'),
    { kind: 'proxied', ...ends },
  ],
  [
    'v1 over IPv6, in another spelling',
    Buffer.from('PROXY TCP6 2001:DB8:0:0:0:0:0:7 ::ffff:10.0.0.1 1 65535\r\n'),
    {
      kind: 'proxied',
      source: { address: '2001:db8::7', port: 1 },
      destination: { address: '10.0.0.1', port: 65_535 },
    },
  ],
  ['v1 of nobody', Buffer.from('PROXY UNKNOWN\r\n'), { kind: 'own' }],
  ['v1 of nobody with a rest', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`), { kind: 'own' }],
  ['v2 over IPv4', version2(0x21, 0x11, IPV4), { kind: 'proxied', ...ends }],
  [
    'v2 with TLVs, among them one that says it was TLS, and one that is cut off',
    version2(0x21, 0x11, Buffer.concat([IPV4, Buffer.from('2000050100000000ff0010', 'hex')])),
    { kind: 'proxied', ...ends },
  ],
  [
    'v2 over IPv6 with an IPv4 address in it',
    version2(0x21, 0x21, Buffer.from(`${'0'.repeat(20)}ffffc0000207${'0'.repeat(31)}19c4103e1`, 'hex')),
    {
      kind: 'proxied',
      source: { address: '192.0.2.7', port: 40_001 },
      destination: { address: '::1', port: 993 },
    },
  ],
  ['v2 LOCAL', version2(0x20, 0x00, Buffer.alloc(0)), { kind: 'own' }],
  ['v2 LOCAL with addresses, which do not count', version2(0x20, 0x11, IPV4), { kind: 'own' }],
  ['v2 of an unknown family', version2(0x21, 0x00, Buffer.from('x')), { kind: 'own' }],
  ['v2 of a Unix socket', version2(0x21, 0x31, Buffer.alloc(216)), { kind: 'own' }],
])('%s is read, and no beginning of it', (_what, octets, header) => {
  const all = Buffer.concat([octets, Buffer.from('a LOGIN')]);
  expect(readProxyHeader(all)).toEqual({ kind: 'header', header, octets: octets.length });
  for (let end = 0; end < octets.length; end++) {
    expect(readProxyHeader(octets.subarray(0, end))).toEqual({ kind: 'more' });
  }
});

test.each<[string, Buffer]>([
  ['a command of the client', Buffer.from('a LOGIN x y\r\n')],
  ['TLS', Buffer.from('160301', 'hex')],
  ['lower case', Buffer.from('proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n')],
  ['two blanks', Buffer.from('PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n')],
  ['an address of the other family', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
  ['octal numbers', Buffer.from('PROXY TCP4 010.0.0.1 1.2.3.4 1 2\r\n')],
  ['a port that is none', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n')],
  ['a port with a zero before it', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n')],
  ['more behind the ports', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n')],
  ['UNKNOWN with a tail', Buffer.from('PROXY UNKNOWNS\r\n')],
  ['another protocol', Buffer.from('PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n')],
  ['a lone LF', Buffer.from(`PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n${' '.repeat(100)}`)],
  ['a line of 108 octets', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`)],
  ['version 1 in the binary form', version2(0x11, 0x11, IPV4)],
  ['an unknown command', version2(0x22, 0x11, IPV4)],
  ['an unknown family', version2(0x21, 0x41, IPV4)],
  ['datagrams', version2(0x21, 0x12, IPV4)],
  ['too short for its addresses', version2(0x21, 0x21, IPV4)],
  ['longer than anybody needs', version2(0x21, 0x11, Buffer.alloc(5_000))],
])('%s is malformed', (_what, octets) => {
  expect(readProxyHeader(octets).kind).toBe('malformed');
});

test('what is wrong is said before the rest has come', () => {
  expect(readProxyHeader(Buffer.concat([SIGNATURE_2, Buffer.from([0x11])])).kind).toBe('malformed');
  expect(readProxyHeader(Buffer.concat([SIGNATURE_2, Buffer.from([0x21, 0x13])])).kind).toBe('malformed');
  expect(readProxyHeader(Buffer.from('PROXX')).kind).toBe('malformed');
});

test('what is written is what other programs write', () => {
  expect(proxyHeader('v1', ends).toString()).toBe('PROXY TCP4 192.0.2.7 198.51.100.9 40001 993\r\n');
  expect(proxyHeader('v2', ends)).toEqual(version2(0x21, 0x11, IPV4));
  const mixed = { ...ends, destination: { address: '2001:db8::1', port: 993 } };
  expect(proxyHeader('v1', mixed).toString()).toBe('PROXY TCP6 ::ffff:c000:207 2001:db8::1 40001 993\r\n');
  const linked = { ...mixed, source: { address: 'fe80::1%eth0', port: 1 } };
  expect(proxyHeader('v1', linked).toString()).toBe('PROXY TCP6 fe80::1 2001:db8::1 1 993\r\n');
  for (const nobody of [null, { ...ends, source: { address: '', port: 0 } }]) {
    expect(proxyHeader('v1', nobody).toString()).toBe('PROXY UNKNOWN\r\n');
    expect(proxyHeader('v2', nobody)).toEqual(version2(0x20, 0x00, Buffer.alloc(0)));
  }
});

test.each([
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['1:0:0:2::3', '1:0:0:2::3'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['0:2:3:4:5:6:7:0', '0:2:3:4:5:6:7:0'],
  ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['10.0.0.1', '10.0.0.1'],
])('%s is the address %s', (written, short) => {
  const octets = ipOctets(written);
  expect(octets?.length).toBe(isIPv6(written) ? 16 : 4);
  expect(octets === null ? null : ipText(octets)).toBe(short);
});
