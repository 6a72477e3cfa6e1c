import fc from 'fast-check';
import type { OctetSource } from '../../../src/octets/source.ts';

/** Octets in chunks of the sizes given, again and again from the first one. */
export function inChunks(octets: Buffer, sizes: readonly number[]): OctetSource {
  return {
    length: octets.length,
    async *read(start = 0, end = octets.length) {
      for (let at = start, i = 0; at < end; i++) {
        const next = Math.min(end, at + Math.max(1, sizes[i % sizes.length] ?? 1));
        yield octets.subarray(at, next);
        at = next;
      }
    },
  };
}

export { collect } from '../../../src/octets/collect.ts';

const word = fc.constantFrom(
  ...['Content-Type: multipart/mixed; boundary=a', 'Content-Type: multipart/digest; boundary=b', '--', '--a'],
  ...['Content-Type: multipart/alternative; boundary="a--"', '--b', '--a--', '--b--', '--a-- ', 'X: y', ''],
  ...[
    'Content-Type: message/rfc822',
    'Content-Type: message/delivery-status',
    'Content-Type: text/html; charset',
  ],
  ...[
    'Content-Type: image/png',
    'Content-Transfer-Encoding: 8bit',
    'Content-Transfer-Encoding: binary',
    ' folded',
  ],
  ...['Content-Transfer-Encoding: base64', 'Content-Transfer-Encoding: quoted-printable', 'not a field'],
  ...['From here', 'blank ', 'tab\t', 'a=20b', 'a=3', '=', 'soft= ', 'größe', 'QUJD', 'QUI=', 'x'.repeat(80)],
  ...[
    'ü'.repeat(70),
    'x'.repeat(1_001),
    'a\rb',
    '\r',
    '\0',
    '-',
    'From',
    ' \t  ',
    'Content-Type: text/plain',
  ],
);

/** Words that mean something in mail, with line ends of every kind between them, and then some octets changed. */
export const mailOctets: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.array(fc.tuple(word, fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r\n\r\n', '\n\n', '', '\r')), {
      maxLength: 40,
    }),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
  )
  .map(([words, changes]) => {
    const octets = Buffer.from(words.map(([text, end]) => text + end).join(''), 'latin1');
    for (const [at, octet] of changes) if (octets.length > 0) octets[at % octets.length] = octet;
    return octets;
  });
