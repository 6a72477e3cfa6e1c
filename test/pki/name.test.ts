import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import { element, printableString, sequence, utf8String } from '../../src/asn1/writer.ts';
import { isWithin, nameKey, parseName, sameName } from '../../src/pki/name.ts';
import { corpus, corpusCertificate } from './corpora.ts';
import { commonName, distinguishedName } from './make-certificate.ts';

const parse = (der: Buffer) => parseName(readWhole(der, 'DER'));
const CN = '2.5.4.3';
const O = '2.5.4.10';
const same = (one: string | Buffer, other: string | Buffer) =>
  sameName(parse(distinguishedName([CN, one])), parse(distinguishedName([CN, other])));

describe('RFC 5280 §7.1: names are the same', () => {
  it.each<[string, string | Buffer, string | Buffer]>([
    ['in another letter case', 'Sample CA', 'SAMPLE ca'],
    ['with other white space', '  Sample   CA ', 'Sample CA'],
    ['with a no-break space', 'Sample\u{A0}CA', 'Sample CA'],
    ['as PrintableString and UTF8String', printableString('Sample CA'), utf8String('sample ca')],
    ['as BMPString', element(30, Buffer.from('00530061006d0070006c0065', 'hex')), 'sample'],
    ['composed and decomposed', 'M\u{FC}ller', 'Mu\u{308}ller'],
    ['with folded letters', 'Stra\u{DF}e', 'STRASSE'],
    ['with a soft hyphen', 'Sam\u{AD}ple', 'Sample'],
  ])('%s', (_, one, other) => {
    expect(same(one, other)).toBe(true);
  });

  it.each<[string, string | Buffer, string | Buffer]>([
    ['in other letters', 'Sample CA', 'Sample CB'],
    ['in look-alike letters of another script', 'Sample', 'S\u{430}mple'],
    ['with a NUL', 'Sample', 'Sample\0'],
    ['where white space separates', 'SampleCA', 'Sample CA'],
    ['as T61String, whose characters nobody agrees on', element(20, Buffer.from('Sample')), 'Sample'],
  ])('but not %s', (_, one, other) => {
    expect(same(one, other)).toBe(false);
  });

  it('but not with other attributes, another order, or RDNs joined', () => {
    const name = parse(distinguishedName([O, 'A'], [CN, 'B']));
    expect(sameName(name, parse(distinguishedName([CN, 'A'], [CN, 'B'])))).toBe(false);
    expect(sameName(name, parse(distinguishedName([CN, 'B'], [O, 'A'])))).toBe(false);
    expect(sameName(name, parse(distinguishedName([O, 'A'])))).toBe(false);
    expect(
      sameName(parse(distinguishedName([CN, 'A/B'])), parse(distinguishedName([CN, 'A'], [CN, 'B']))),
    ).toBe(false);
  });

  it('exactly when their keys are equal', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'A', 'b', ' ', 'ß', 's', '"', '\\', ',', '=', '/') });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 3 }), fc.array(text, { maxLength: 3 }), (one, other) => {
        const make = (values: string[]) =>
          parse(distinguishedName(...values.map((v): [string, string] => [CN, v])));
        const [a, b] = [make(one), make(other)];
        const fold = (values: string[]) =>
          values.map((v) => v.replaceAll('ß', 'ss').toLowerCase().replace(/ +/g, ' ').trim());
        expect(nameKey(a) === nameKey(b)).toBe(sameName(a, b));
        expect(sameName(a, b)).toBe(JSON.stringify(fold(one)) === JSON.stringify(fold(other)));
      }),
    );
  });
});

describe('subtrees of names', () => {
  it('begin with all RDNs of the base', () => {
    const base = parse(distinguishedName([O, 'Example']));
    expect(isWithin(parse(distinguishedName([O, 'EXAMPLE'], [CN, 'x'])), base)).toBe(true);
    expect(isWithin(base, base)).toBe(true);
    expect(isWithin(parse(distinguishedName([CN, 'x'], [O, 'Example'])), base)).toBe(false);
    expect(isWithin(parse(distinguishedName([O, 'Example 2'])), base)).toBe(false);
    expect(isWithin(base, parse(distinguishedName([O, 'Example'], [CN, 'x'])))).toBe(false);
  });
});

describe('RFC 4514 text', () => {
  it('is what OpenSSL prints', () => {
    for (const file of ['alice.sign.crt', 'ca-rsa.crt', 'ca-ed25519-cross.crt']) {
      const printed = execFileSync(
        'openssl',
        ['x509', '-in', corpus('rfc9216', file), '-noout', '-subject', '-nameopt', 'RFC2253'],
        { encoding: 'utf8' },
      );
      expect(corpusCertificate('rfc9216', file).subject.text).toBe(
        printed.trim().replace(/^subject=\s*/, ''),
      );
    }
  });

  it.each([
    ['a,b+c"d\\e<f>g;h', 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h'],
    [' lead and trail ', 'CN=\\ lead and trail\\ '],
    ['#hash', 'CN=\\#hash'],
    ['Müller', 'CN=Müller'],
    ['nul\0', 'CN=nul\\00'],
    ['line\nbreak', 'CN=line\\0abreak'],
    ['turned\u{202E}round', 'CN=turned\\e2\\80\\aeround'],
  ])('%j', (value, text) => {
    expect(parse(commonName(value)).text).toBe(text);
  });

  it('writes unknown types as octets', () => {
    expect(parse(distinguishedName(['1.2.3.4', 'x'])).text).toBe('1.2.3.4=#0c0178');
  });

  it('refuses an empty RDN', () => {
    expect(() => parse(sequence(Buffer.from([0x31, 0])))).toThrowError(
      expect.objectContaining({ code: 'pki.malformed' }),
    );
  });
});
