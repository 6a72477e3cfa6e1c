import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { ANYTHING, parsePkcs11Uri } from '../../src/hsm/pkcs11-uri.ts';
import { placeOf } from '../../src/hsm/pkcs11-uri-place.ts';
import { printPkcs11Uri } from './support/print-pkcs11-uri.ts';

function refusal(work: () => unknown): SealgateError {
  try {
    work();
  } catch (error) {
    if (error instanceof SealgateError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

describe('a PKCS #11 URI (RFC 7512) is read', () => {
  test.each<[string, Partial<typeof ANYTHING>]>([
    // The shapes of RFC 7512 §3.
    ['pkcs11:', {}],
    ['pkcs11:?', {}],
    ['PKCS11:', {}],
    ['pkcs11:object=my-pubkey;type=public', { object: 'my-pubkey', type: 'public' }],
    [
      'pkcs11:object=my-key;type=private?pin-source=file:/etc/token',
      { object: 'my-key', type: 'private', pinFile: '/etc/token' },
    ],
    [
      'pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=',
      {
        token: 'The Software PKCS#11 Softtoken',
        manufacturer: 'Snake Oil, Inc.',
        model: '1.0',
        object: 'my-certificate',
        type: 'cert',
        id: '69953e5cf4bdec91',
        serial: '',
      },
    ],
    [
      'pkcs11:object=my-sign-key;type=private?module-name=mypkcs11',
      { object: 'my-sign-key', type: 'private', moduleName: 'mypkcs11' },
    ],
    ['pkcs11:?module-path=/mnt/libmypkcs11.so.1', { modulePath: '/mnt/libmypkcs11.so.1' }],
    ['pkcs11:slot-description=Sun%20Metaslot', { slotDescription: 'Sun Metaslot' }],
    [
      'pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft;library-version=1.23',
      {
        libraryManufacturer: 'Snake Oil, Inc.',
        libraryDescription: 'Soft',
        libraryVersion: { major: 1, minor: 23 },
      },
    ],
    ['pkcs11:library-version=3', { libraryVersion: { major: 3, minor: 0 } }],
    ['pkcs11:slot-id=327;slot-manufacturer=x', { slotId: 327, slotManufacturer: 'x' }],
    ["pkcs11:token=%E6%9D%8E&b=:[]@!$'()*+,", { token: "李&b=:[]@!$'()*+," }],
    ['pkcs11:?module-path=/a|b?c/d', { modulePath: '/a|b?c/d' }],
    // A byte order mark is a character of the label like any other.
    ['pkcs11:token=%EF%BB%BFa', { token: '\u{feff}a' }],
    ['pkcs11:?pin-source=file:///etc/a%2520b', { pinFile: '/etc/a b' }],
    ['pkcs11:?pin-source=file://localhost/etc/pin', { pinFile: '/etc/pin' }],
  ])('%s', (text, expected) => {
    expect(parsePkcs11Uri(text)).toEqual({ ...ANYTHING, ...expected });
  });
});

describe('a PKCS #11 URI is refused', () => {
  test.each<[string, string, RegExp]>([
    ['of another scheme', 'https://token=a', /pkcs11:/],
    ['with an attribute twice', 'pkcs11:id=%01;id=%02', /id is in it twice/],
    ['with an attribute twice in two spellings', 'pkcs11:token=a;TOKEN=b', /token is in it twice/],
    ['with half an escape', 'pkcs11:id=%0', /hexadecimal/],
    ['with an escape that is none', 'pkcs11:id=%ZZ', /hexadecimal/],
    ['with a blank', 'pkcs11:token=SSH Keys', /%20/],
    ['with a character beyond ASCII', 'pkcs11:token=é', /percent-encoded/],
    ['with a fragment', 'pkcs11:token=a#b', /percent-encoded/],
    ['with a slash in its path', 'pkcs11:token=a/b', /percent-encoded/],
    ['with octets that are no UTF-8', 'pkcs11:token=%FF', /UTF-8/],
    ['with an overlong form of "/"', 'pkcs11:token=%C0%AF', /UTF-8/],
    ['with a surrogate in UTF-8', 'pkcs11:token=%ED%A0%80', /UTF-8/],
    ['with nothing between two semicolons', 'pkcs11:token=a;;serial=b', /attribute 2 of its path/],
    ['with a semicolon at its end', 'pkcs11:token=a;', /attribute 2/],
    ['with an attribute of a vendor', 'pkcs11:x-label=a', /vendors/],
    ['with an attribute of a vendor in its query', 'pkcs11:?x-label=a', /vendors/],
    ['with a name of the language itself', 'pkcs11:__proto__=a', /vendors/],
    ['with a name of the language itself', 'pkcs11:constructor=a', /vendors/],
    ['with a path attribute in its query', 'pkcs11:?token=a', /before the "\?"/],
    ['with a query attribute in its path', 'pkcs11:module-path=a', /behind the "\?"/],
    ['with a label longer than tokens have', `pkcs11:token=${'a'.repeat(33)}`, /32 octets/],
    ['with a label of too many octets', `pkcs11:token=${'%E2%82%AC'.repeat(11)}`, /32 octets/],
    ['with another type', 'pkcs11:type=certificate', /type is none of/],
    ['with a version that is none', 'pkcs11:library-version=1.', /library-version/],
    ['with a version beyond an octet', 'pkcs11:library-version=1.256', /library-version/],
    ['with a slot that is no number', 'pkcs11:slot-id=-1', /slot-id/],
    ['with a slot beyond numbers', 'pkcs11:slot-id=9999999999999999', /slot-id/],
    ['with a relative module', 'pkcs11:?module-path=lib.so', /absolute/],
    ['with a NUL in the module', 'pkcs11:?module-path=/lib%00.so', /path of a file/],
    ['with a program for its PIN', 'pkcs11:?pin-source=|/usr/bin/mypin', /file: URI/],
    ['with a PIN from the network', 'pkcs11:?pin-source=https://x.example/pin', /file: URI/],
    ['with a PIN from another machine', 'pkcs11:?pin-source=file://x.example/pin', /file: URI/],
    ['with a relative PIN file', 'pkcs11:?pin-source=file:pin', /file: URI/],
    ['with a PIN file and a query', 'pkcs11:?pin-source=file:/pin?x', /percent-encoded/],
    ['with half an escape in the file: URI', 'pkcs11:?pin-source=file:/pin%25', /percent-encoded/],
    ['of a megabyte', `pkcs11:token=${'a'.repeat(1 << 20)}`, /longer/],
  ])('%s', (_, text, sentence) => {
    const { code, publicText } = refusal(() => parsePkcs11Uri(text));
    expect(code).toBe('key.uri-malformed');
    expect(publicText).toMatch(sentence);
  });

  const SECRET = '735298';
  test.each([
    `pkcs11:token=a?pin-value=${SECRET}`,
    `pkcs11:token=a?PIN-VALUE=${SECRET}`,
    `pkcs11:token=a;pin-value=${SECRET}`,
    `pkcs11:token=a;pin=${SECRET}`,
    `pkcs11:token=a;${SECRET}`,
    `pkcs11:token=a?${SECRET}`,
    `pkcs11:${SECRET}=a`,
    `pkcs11:token=a?pin-source=${SECRET}`,
    `pkcs11:token=a?pin-source=file:/${SECRET}%25`,
  ])('without repeating the PIN that somebody wrote into it: %s', (text) => {
    const error = refusal(() => parsePkcs11Uri(text));
    expect(`${error.message} ${error.publicText} ${error.stack}`.replaceAll(text, '')).not.toContain(SECRET);
    expect(String(error.cause ?? '')).not.toContain(SECRET);
  });
});

describe('what a URI says about a place', () => {
  test('fits the selectors of a token', () => {
    const text =
      'pkcs11:token=staff;serial=01;model=m;manufacturer=v;slot-description=Reader%2001;object=alice;id=%0a?module-path=/lib.so&pin-source=file:/pin';
    expect(placeOf(parsePkcs11Uri(text))).toEqual({
      token: { label: 'staff', serial: '01', model: 'm', manufacturer: 'v', reader: 'Reader 01' },
      objects: { object: 'alice', id: '0a' },
      module: '/lib.so',
      pinFile: '/pin',
    });
  });

  test.each([
    'slot-id=1',
    'slot-manufacturer=x',
    'library-version=2.4',
    'library-description=x',
    'library-manufacturer=x',
    'type=public',
    'type=secret-key',
    'type=data',
  ])('%s is refused rather than passed over', (attribute) => {
    const { code, publicText } = refusal(() => placeOf(parsePkcs11Uri(`pkcs11:token=a;${attribute}`)));
    expect(code).toBe('key.uri-unusable');
    expect(publicText).toContain(attribute.split(/[=-]/, 1)[0]);
  });

  test('a module without its path is refused', () => {
    const uri = parsePkcs11Uri('pkcs11:?module-name=softhsm2');
    expect(refusal(() => placeOf(uri)).publicText).toContain('module-path');
    expect(placeOf({ ...uri, modulePath: '/lib.so' }).module).toBe('/lib.so');
  });
});

describe('what is printed is read as the same', () => {
  test('whatever tokens call themselves', () => {
    const text = (maxLength: number) =>
      fc.string({ unit: 'grapheme', maxLength: 40 }).filter((value) => Buffer.byteLength(value) <= maxLength);
    const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value);
    const path = text(100)
      .filter((value) => !value.includes('\0'))
      .map((value) => `/x${value}`);
    const uri = fc.record({
      token: maybe(text(32)),
      manufacturer: maybe(text(32)),
      serial: maybe(text(16)),
      model: maybe(text(16)),
      libraryManufacturer: maybe(text(32)),
      libraryDescription: maybe(text(32)),
      libraryVersion: maybe(fc.record({ major: fc.nat(255), minor: fc.nat(255) })),
      object: maybe(text(255)),
      type: maybe(fc.constantFrom('public', 'private', 'cert', 'secret-key', 'data')),
      id: maybe(fc.uint8Array({ maxLength: 255 }).map((octets) => Buffer.from(octets).toString('hex'))),
      slotManufacturer: maybe(text(32)),
      slotDescription: maybe(text(64)),
      slotId: maybe(fc.maxSafeNat().filter((slot) => slot < 1e15)),
      modulePath: maybe(path),
      moduleName: maybe(text(255)),
      pinFile: maybe(path),
    });
    fc.assert(
      fc.property(uri, (parts) => {
        const printed = printPkcs11Uri(parts);
        expect(printed).toMatch(/^[\x21-\x7e]*$/);
        expect(parsePkcs11Uri(printed)).toEqual(parts);
      }),
    );
  });
});

describe('URIs that p11-kit makes of ours', () => {
  test.each<[string, string, string]>([
    [
      'a key with everything that is awkward',
      'pkcs11:token=a%3B%20b%2520%3F%26%C3%A9;serial=1%21%27%28%29%2A;model=SoftHSM%20v2;object=x%2Fy%3Dz;id=%00%FF%0A;type=private?module-path=/usr/lib/a%20b/%C3%A9%26c.so&pin-source=file:/etc/a%2520b%252520',
      'pkcs11:model=SoftHSM%20v2;serial=1%21%27%28%29%2A;token=a%3B%20b%2520%3F%26%C3%A9;id=%00%FF%0A;object=x%2Fy%3Dz;type=private?pin-source=file%3A%2Fetc%2Fa%2520b%252520&module-path=%2Fusr%2Flib%2Fa%20b%2F%C3%A9%26c.so',
    ],
    [
      'a slot',
      'pkcs11:library-manufacturer=m;library-description=d;slot-manufacturer=q;slot-description=Reader%2000;library-version=2.40;slot-id=3',
      'pkcs11:library-description=d;library-manufacturer=m;library-version=2.40;slot-description=Reader%2000;slot-manufacturer=q;slot-id=3',
    ],
  ])('say the same: %s', (_, ours, theirs) => {
    expect(parsePkcs11Uri(theirs)).toEqual(parsePkcs11Uri(ours));
    expect(printPkcs11Uri(parsePkcs11Uri(theirs))).toBe(ours);
  });
});
