import { ipOctets, ipText } from '../../../src/connections/ip-octets.ts';
import { readProxyHeader, SIGNATURE_2 } from '../../../src/connections/proxy-header.ts';
import { proxyHeader } from '../../../src/connections/write-proxy-header.ts';
import { type FuzzTarget, holds } from '../target.ts';

const four = {
  source: { address: '192.0.2.7', port: 1 },
  destination: { address: '198.51.100.9', port: 993 },
};
const six = { source: { address: '2001:db8::7', port: 65_535 }, destination: { address: '::1', port: 0 } };

export const connectionsTargets: readonly FuzzTarget[] = [
  {
    name: 'proxy-header',
    form: 'octets',
    allowed: [],
    dictionary: [
      'PROXY ',
      'TCP4 ',
      'TCP6 ',
      'UNKNOWN',
      '\r\n',
      '::ffff:',
      '0',
      SIGNATURE_2,
      '\x21\x11\x00\x0c',
    ],
    prepare: () => ({
      seeds: [
        ...[four, six, null].flatMap((ends) => [proxyHeader('v1', ends), proxyHeader('v2', ends)]),
        Buffer.concat([
          SIGNATURE_2,
          Buffer.from('2111000f0102030405060708010203e0040000', 'hex'),
          Buffer.from('a LOGIN'),
        ]),
        Buffer.from('PROXY UNKNOWN ffff::1 ::2 1 2\r\na NOOP\r\n'),
      ],
      run(input) {
        const reading = readProxyHeader(input);
        if (reading.kind !== 'header') return reading;
        holds(reading.octets <= input.length, 'the header lies in the input');
        for (let end = 0; end < Math.min(reading.octets, 600); end++) {
          holds(
            readProxyHeader(input.subarray(0, end)).kind === 'more',
            'a beginning of a header is no answer',
          );
        }
        const { header } = reading;
        if (header.kind === 'proxied') {
          for (const { address } of [header.source, header.destination]) {
            const octets = ipOctets(address);
            holds(octets !== null && ipText(octets) === address, 'one address has one spelling');
          }
          for (const version of ['v1', 'v2'] as const) {
            const again = readProxyHeader(proxyHeader(version, header));
            holds(again.kind === 'header' && again.header.kind === 'proxied', 'what is read can be written');
            holds(JSON.stringify(again.header) === JSON.stringify(header), 'it reads as it was');
          }
        }
        return reading;
      },
    }),
  },
];
