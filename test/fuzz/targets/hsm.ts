import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { readWhole } from '../../../src/asn1/reader.ts';
import { PasswordReader } from '../../../src/hsm/files/pbe.ts';
import { readEncryptedPrivateKeyInfo } from '../../../src/hsm/files/pkcs8.ts';
import { readAuthenticatedSafe, readPkcs12 } from '../../../src/hsm/files/pkcs12.ts';
import { keysOfPkcs12 } from '../../../src/hsm/files/pkcs12-key.ts';
import { parsePkcs11Uri } from '../../../src/hsm/pkcs11-uri.ts';
import { placeOf } from '../../../src/hsm/pkcs11-uri-place.ts';
import { Secret } from '../../../src/log/secret.ts';
import { IdentityFolder } from '../../cms/support/identities.ts';
import { printPkcs11Uri } from '../../hsm/support/print-pkcs11-uri.ts';
import { type FuzzTarget, holds } from '../target.ts';

const allowed = ['key.', 'asn1.malformed'];
const password = 'fuzz';

function pkcs12Files(at: IdentityFolder): Buffer[] {
  const bob = at.issue('bob', 'P-256');
  const write = (name: string, ...args: string[]): Buffer => {
    const common = [
      '-export',
      '-in',
      bob.certificateFile,
      '-inkey',
      bob.keyFile,
      '-name',
      'bob',
      '-passout',
      `pass:${password}`,
    ];
    at.openssl('pkcs12', ...common, '-iter', '10', ...args, '-out', at.path(name));
    return readFileSync(at.path(name));
  };
  return [
    write('a.p12'),
    write('b.p12', '-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-3DES', '-macalg', 'sha1'),
    write('c.p12', '-keypbe', 'NONE', '-certpbe', 'NONE', '-certfile', at.authority.certificateFile),
  ];
}

/** Iteration counts are a stranger's numbers; up to their bound they may take their time. */
const budget = { ms: 60_000, usPerOctet: 1 };
const hangMs = 300_000;

export const hsmTargets: readonly FuzzTarget[] = [
  {
    name: 'hsm-pkcs12',
    form: 'tlv',
    allowed,
    budget,
    hangMs,
    prepare: () => {
      const at = new IdentityFolder();
      return {
        seeds: pkcs12Files(at),
        close: () => at.remove(),
        async run(input) {
          const contents = await readPkcs12(input, password);
          const keys = await keysOfPkcs12(input, new Secret(password), 'file');
          return [contents, keys.map(({ label }) => label)];
        },
      };
    },
  },
  {
    // Behind the MAC, which keeps nearly every change from getting there.
    name: 'hsm-authenticated-safe',
    form: 'tlv',
    allowed,
    budget,
    hangMs,
    prepare: () => {
      const at = new IdentityFolder();
      const safes = pkcs12Files(at).map(
        // PFX: version, authSafe ContentInfo { type, [0] OCTET STRING }.
        (file) => {
          const pfx = readWhole(file, 'BER').content;
          const authSafe = readWholeAt(pfx, 3);
          const explicit = readWholeAt(authSafe, 2 + 9);
          return readWholeAt(explicit, 0);
        },
      );
      at.remove();
      return { seeds: safes, run: (input) => readAuthenticatedSafe(input, new PasswordReader(password)) };
    },
  },
  {
    name: 'hsm-pkcs8',
    form: 'tlv',
    allowed,
    budget,
    hangMs,
    prepare: () => {
      const at = new IdentityFolder();
      const bob = at.issue('bob', 'P-256');
      const write = (...args: string[]): Buffer =>
        at.openssl(
          'pkcs8',
          '-topk8',
          '-in',
          bob.keyFile,
          '-outform',
          'DER',
          '-passout',
          `pass:${password}`,
          ...args,
        );
      return {
        seeds: [
          write('-iter', '10'),
          write('-iter', '10', '-v2', 'aes-128-cbc', '-v2prf', 'hmacWithSHA512'),
          write('-scrypt', '-scrypt_N', '2'),
          write('-v1', 'PBE-SHA1-3DES', '-iter', '10'),
        ],
        close: () => at.remove(),
        run: (input) => readEncryptedPrivateKeyInfo(readWhole(input, 'BER'), new PasswordReader(password)),
      };
    },
  },
  {
    name: 'hsm-pkcs11-uri',
    form: 'octets',
    allowed: ['key.uri-malformed', 'key.uri-unusable'],
    dictionary: [
      ...[
        'pkcs11:',
        ';token=',
        ';serial=',
        ';object=',
        ';id=%00',
        ';type=private',
        ';slot-id=1',
        '%25',
        '%E2%82%AC',
      ],
      ...[
        ';library-version=2.4',
        '?module-path=/',
        '&pin-source=file:/',
        '&pin-value=',
        '&module-name=',
        '%',
        '=',
      ],
    ],
    prepare: () => ({
      seeds: [
        'pkcs11:',
        'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=',
        'pkcs11:token=staff;object=alice;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/a%2520pin',
        'pkcs11:slot-description=Reader%2000%2000;library-version=3.1;slot-id=327',
      ].map((text) => Buffer.from(text)),
      run(input) {
        const uri = parsePkcs11Uri(input.toString('utf8'));
        const printed = printPkcs11Uri(uri);
        holds(isDeepStrictEqual(parsePkcs11Uri(printed), uri), 'what is printed is read as the same');
        holds(/^[\x21-\x7e]*$/.test(printed), 'what is printed is ASCII without blanks');
        return [uri, placeOf(uri)];
      },
    }),
  },
];

/** Content of the element at `offset`. */
function readWholeAt(octets: Buffer, offset: number): Buffer {
  const first = octets[offset + 1] ?? 0;
  const lengthOctets = first < 0x80 ? 1 : 1 + (first & 0x7f);
  const start = offset + 1 + lengthOctets;
  const length = first < 0x80 ? first : octets.readUIntBE(offset + 2, lengthOctets - 1);
  return octets.subarray(start, start + length);
}
