import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMailbox } from '../../src/pki/mailbox.ts';
import { speaksFor } from '../../src/pki/speaks-for.ts';
import { corpusCertificate } from './corpora.ts';
import {
  distinguishedName,
  ecKey,
  emailAddress,
  generalName,
  makeCertificate,
  subjectAltName,
} from './make-certificate.ts';

function certificateFor(...mailboxes: string[]) {
  const names = mailboxes.map((mailbox) =>
    /^[\0-\x7f]*$/.test(mailbox) ? generalName.mailbox(mailbox) : generalName.smtpUtf8(mailbox),
  );
  return makeCertificate({
    subject: 'Somebody',
    key: ecKey('somebody'),
    extensions: [subjectAltName(...names)],
  });
}

describe('a certificate speaks for an address', () => {
  it.each([
    ['alice@smime.example', 'alice@smime.example'],
    ['alice@smime.example', 'alice@SMIME.Example'],
    ['alice@SMIME.example', 'alice@smime.example'],
    ['alice@xn--mller-kva.example', 'alice@müller.example'],
    ['alice@xn--mller-kva.example', 'alice@MÜLLER.example'],
    ['alice@xn--mller-kva.example', 'alice@mu\u{308}ller.example'],
    ['alice@xn--strae-oqa.example', 'alice@straße.example'],
    ['jörg@xn--mller-kva.example', 'jörg@müller.example'],
    ['jörg@müller.example', 'jörg@xn--mller-kva.example'],
    ['"a b"@smime.example', '"a b"@smime.example'],
    ['"a@b"@smime.example', '"a@b"@smime.example'],
    ["o'neil+list@smime.example", "o'neil+list@smime.example"],
  ])('%s for %s', (mailbox, address) => {
    expect(speaksFor(certificateFor(mailbox), address)).toBe(true);
  });

  it('for each of its mailboxes', () => {
    const certificate = certificateFor('a@one.example', 'b@two.example');
    expect(speaksFor(certificate, 'a@one.example')).toBe(true);
    expect(speaksFor(certificate, 'b@two.example')).toBe(true);
    expect(speaksFor(certificate, 'b@one.example')).toBe(false);
  });

  it('as Alice and Carlos of RFC 9216 do', () => {
    expect(speaksFor(corpusCertificate('rfc9216', 'alice.sign.crt'), 'alice@smime.example')).toBe(true);
    expect(speaksFor(corpusCertificate('rfc9216', 'carlos.sign.crt'), 'alice@smime.example')).toBe(false);
  });
});

describe('a certificate does not speak for an address', () => {
  it.each([
    ['of another local part', 'alice@a.example', 'alicia@a.example'],
    ['whose local part has other letter case (RFC 5280 §7.5)', 'alice@a.example', 'Alice@a.example'],
    ['of a domain below', 'alice@a.example', 'alice@b.a.example'],
    ['of a domain above', 'alice@b.a.example', 'alice@a.example'],
    ['after a NUL in its own', 'alice@a.example\0.attacker.example', 'alice@a.example'],
    ['with a NUL', 'alice@a.example', 'alice@a.example\0'],
    ['before a NUL in the local part', 'alice\0@a.example', 'alice@a.example'],
    ['with a trailing dot', 'alice@a.example', 'alice@a.example.'],
    ['when its own has a trailing dot', 'alice@a.example.', 'alice@a.example.'],
    ['with two at signs', 'a@b@c.example', 'a@b@c.example'],
    ['that is the end of one with two at signs', 'a@b@c.example', 'b@c.example'],
    ['that is the beginning of one with two at signs', 'a@b.example@c.example', 'a@b.example'],
    ['in Cyrillic look-alike letters', 'alice@paypal.example', 'alice@pаypal.example'],
    ['in full-width letters', 'alice@paypal.example', 'alice@ｐaypal.example'],
    ['with an ideographic full stop', 'alice@a.example', 'alice@a。example'],
    ['with a zero-width joiner', 'alice@a.example', 'alice@a\u{200D}.example'],
    ['with a soft hyphen', 'alice@paypal.example', 'alice@pay\u{AD}pal.example'],
    ['with a false A-label', 'alice@xn--paypal-.example', 'alice@paypal.example'],
    ['in full-width letters beside others', 'alice@xn--mller-kva.example', 'alice@ｍüller.example'],
    ['with an A-label of a capital letter', 'alice@xn--mller-2pa.example', 'alice@xn--mller-2pa.example'],
    ['with an A-label of nothing', 'alice@xn--.example', 'alice@xn--.example'],
    ['with an A-label that is no punycode', 'alice@xn--99999999.example', 'alice@xn--99999999.example'],
    ['of ss when it has ß', 'alice@strasse.example', 'alice@straße.example'],
    ['with a percent sign that decodes to it', 'alice@a.example', 'alice@%61.example'],
    ['with white space', 'alice@a.example', ' alice@a.example'],
    ['with a line end', 'alice@a.example', 'alice@a.example\r\n'],
    ['with a display name', 'alice@a.example', 'Alice <alice@a.example>'],
    ['in angle brackets', 'alice@a.example', '<alice@a.example>'],
    ['quoted', 'alice@a.example', '"alice"@a.example'],
    ['with a comment', 'alice@a.example', 'alice(x)@a.example'],
    ['that is a number', 'alice@1.2.0.3', 'alice@1.2.3'],
    ['that is a domain literal', 'alice@[1.2.3.4]', 'alice@[1.2.3.4]'],
    ['that is no address', 'a.example', 'a.example'],
    ['that is a list', 'a@a.example,b@a.example', 'b@a.example'],
    ['without local part', '@a.example', '@a.example'],
    ['with empty labels', 'a@a..example', 'a@a..example'],
    ['that is empty', 'a@a.example', ''],
    ['of a wildcard', '*@a.example', 'alice@a.example'],
    ['of a decomposed local part (RFC 9598 §5)', 'jörg@a.example', 'jo\u{308}rg@a.example'],
  ])('%s', (_, mailbox, address) => {
    expect(speaksFor(certificateFor(mailbox), address)).toBe(false);
  });

  it('that only its subject names, unless that is asked for and it has no other', () => {
    const subject = distinguishedName(['2.5.4.3', 'Alice'], emailAddress('alice@a.example'));
    const key = ecKey('somebody');
    const old = makeCertificate({ subject, key });
    expect(speaksFor(old, 'alice@a.example')).toBe(false);
    expect(speaksFor(old, 'alice@A.example', { subjectEmailAddress: true })).toBe(true);
    const both = makeCertificate({
      subject,
      key,
      extensions: [subjectAltName(generalName.mailbox('bob@a.example'))],
    });
    expect(speaksFor(both, 'alice@a.example', { subjectEmailAddress: true })).toBe(false);
  });

  it('that is named as another kind of name', () => {
    const names = [generalName.uri('mailto:alice@a.example'), generalName.dns('alice@a.example')];
    const certificate = makeCertificate({
      subject: 'alice@a.example',
      key: ecKey('somebody'),
      extensions: [subjectAltName(...names)],
    });
    expect(speaksFor(certificate, 'alice@a.example')).toBe(false);
  });
});

describe('parseMailbox', () => {
  it('gives a domain that is its own canonical form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (domain) => {
        const mailbox = parseMailbox(`a@${domain}`);
        if (mailbox === null) return;
        expect(mailbox.domain).toMatch(/^[a-z0-9-]+(\.[a-z0-9-]+)*$/);
        expect(parseMailbox(`a@${mailbox.domain}`)).toEqual(mailbox);
      }),
    );
  });

  it('holds the limits of RFC 5321 §4.5.3.1 and RFC 1035 §2.3.4', () => {
    expect(parseMailbox(`${'a'.repeat(64)}@a.example`)).not.toBeNull();
    expect(parseMailbox(`${'a'.repeat(65)}@a.example`)).toBeNull();
    expect(parseMailbox(`a@${'a'.repeat(63)}.example`)).not.toBeNull();
    expect(parseMailbox(`a@${'a'.repeat(64)}.example`)).toBeNull();
    expect(parseMailbox(`a@${'a.'.repeat(127)}a`)).toBeNull();
  });

  it('takes no time over a hostile text', () => {
    expect(parseMailbox(`${'a.'.repeat(200_000)}@x`)).toBeNull();
    expect(parseMailbox(`"${'\\a'.repeat(200_000)}@x`)).toBeNull();
  });
});
