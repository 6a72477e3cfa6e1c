import { describe, expect, it } from 'vitest';
import {
  implicitConstructed,
  implicitPrimitive,
  printableString,
  sequence,
  utf8String,
} from '../../src/asn1/writer.ts';
import { validatePath } from '../../src/pki/path.ts';
import {
  basicConstraints,
  distinguishedName,
  ecKey,
  emailAddress,
  extension,
  generalName,
  keyUsage,
  makeCa,
  makeCertificate,
  makeEnd,
  nameConstraints,
  now,
  subjectAltName,
} from './make-certificate.ts';

const { mailbox, dns, uri, ip, directory, other, smtpUtf8 } = generalName;
const root = makeCa('Root');
const O = '2.5.4.10';
const CN = '2.5.4.3';

/** One CA with the constraints, one end entity with the names. */
function outcome(
  permitted: Buffer[],
  excluded: Buffer[],
  names: Buffer[],
  subject: string | Buffer = 'End',
): string {
  const ca = makeCa('CA', 'Root', [nameConstraints(permitted, excluded)]);
  const end = makeCertificate({
    subject,
    issuer: 'CA',
    key: ecKey('End'),
    issuerKey: ecKey('CA'),
    extensions: names.length === 0 ? [] : [subjectAltName(...names)],
  });
  const report = validatePath({ certificate: end, pool: [ca], anchors: [root], at: now });
  return report.outcome === 'valid' ? 'valid' : report.problems.map(({ check }) => check).join(' ');
}

const permits = (base: Buffer, name: Buffer) => outcome([base], [], [name]) === 'valid';
const excludes = (base: Buffer, name: Buffer) => outcome([], [base], [name]) !== 'valid';

describe('a subtree of mail addresses (RFC 5280 §4.2.1.10)', () => {
  it.each([
    ['a@b.example', 'a@b.example', true],
    ['a@b.example', 'a@B.EXAMPLE', true],
    ['a@b.example', 'A@b.example', false],
    ['a@b.example', 'c@b.example', false],
    ['b.example', 'a@b.example', true],
    ['B.Example', 'a@b.example', true],
    ['b.example', 'a@c.b.example', false],
    ['b.example', 'a@xb.example', false],
    ['.b.example', 'a@c.b.example', true],
    ['.b.example', 'a@d.c.b.example', true],
    ['.b.example', 'a@b.example', false],
    ['.b.example', 'a@xb.example', false],
  ])('%s and %s', (base, name, within) => {
    expect(permits(mailbox(base), mailbox(name))).toBe(within);
    expect(excludes(mailbox(base), mailbox(name))).toBe(within);
  });

  it.each([
    'a@b@c.example',
    'a@evil.example\0@b.example',
    'a@b.example\0',
    'a@b.example.',
    'b.example',
    '@b.example',
    '',
    'a@xn--paypal-.b.example',
    'a@b..example',
  ])('holds nothing that is not exactly one address: %j', (name) => {
    for (const base of ['b.example', '.example', 'c.example', 'evil.example', '']) {
      if (name === 'b.example' && base === '') continue;
      expect(permits(mailbox(base), mailbox(name)), base).toBe(false);
      expect(excludes(mailbox(base), mailbox(name)), base).toBe(true);
    }
  });

  it.each(['b.example.', '..example', 'a@b@c', 'b\0.example'])(
    'that cannot be read refuses all: %j',
    (base) => {
      expect(permits(mailbox(base), mailbox('a@b.example'))).toBe(false);
      expect(excludes(mailbox(base), mailbox('a@z.example'))).toBe(true);
    },
  );

  it('holds internationalised addresses too (RFC 9598 §6)', () => {
    expect(permits(mailbox('b.example'), smtpUtf8('jörg@b.example'))).toBe(true);
    expect(permits(mailbox('b.example'), smtpUtf8('jörg@evil.example'))).toBe(false);
    expect(permits(mailbox('xn--mller-kva.example'), smtpUtf8('jörg@müller.example'))).toBe(true);
    expect(excludes(mailbox('evil.example'), smtpUtf8('jörg@evil.example'))).toBe(true);
  });

  it('that is written as SmtpUTF8Mailbox is refused (RFC 9598 §6)', () => {
    expect(permits(smtpUtf8('jörg@b.example'), smtpUtf8('jörg@b.example'))).toBe(false);
    expect(excludes(smtpUtf8('jörg@b.example'), mailbox('a@c.example'))).toBe(true);
  });

  it('holds emailAddress of the subject, even beside a subjectAltName', () => {
    const subject = distinguishedName([CN, 'End'], emailAddress('a@evil.example'));
    expect(outcome([mailbox('b.example')], [], [], subject)).toBe('name-constraints');
    expect(outcome([mailbox('b.example')], [], [mailbox('a@b.example')], subject)).toBe('name-constraints');
    expect(outcome([mailbox('evil.example')], [], [], subject)).toBe('valid');
    const asUtf8 = distinguishedName([CN, 'End'], ['1.2.840.113549.1.9.1', utf8String('a@evil.example')]);
    expect(outcome([mailbox('b.example')], [], [], asUtf8)).toBe('name-constraints');
  });

  it('says nothing about other names', () => {
    expect(outcome([mailbox('b.example')], [], [dns('host.example')])).toBe('valid');
    expect(outcome([mailbox('b.example')], [], [])).toBe('valid');
  });

  it('must hold every address, not just one', () => {
    const names = [mailbox('a@b.example'), mailbox('a@evil.example')];
    expect(outcome([mailbox('b.example')], [], names)).toBe('name-constraints');
    expect(outcome([mailbox('b.example'), mailbox('evil.example')], [], names)).toBe('valid');
  });

  it('that is excluded wins over one that is permitted', () => {
    expect(outcome([mailbox('.example')], [mailbox('evil.example')], [mailbox('a@evil.example')])).toBe(
      'name-constraints',
    );
  });
});

describe('other subtrees', () => {
  it.each([
    ['b.example', 'b.example', true],
    ['b.example', 'a.b.example', true],
    ['b.example', 'ab.example', false],
    ['.b.example', 'b.example', false],
    ['b.example', '*.b.example', false],
    ['b.example', 'a.b.example.', false],
    ['', 'anything.example', true],
  ])('DNS %s and %s', (base, name, within) => {
    expect(permits(dns(base), dns(name))).toBe(within);
  });

  it.each([
    ['b.example', 'https://b.example/x', true],
    ['b.example', 'https://user:pass@B.example:8443?x', true],
    ['b.example', 'https://a.b.example/', false],
    ['.b.example', 'https://a.b.example/', true],
    ['b.example', 'https://evil.example/@b.example', false],
    ['b.example', 'https://evil.example#@b.example', false],
    ['b.example', 'https://b.example\\@evil.example/', false],
    ['b.example', 'https://evil.example\\@b.example/', false],
    ['b.example', 'https://b.example@evil.example/', false],
    ['b.example', 'mailto:a@b.example', false],
    ['b.example', 'urn:b.example', false],
    ['10.0.0.1', 'https://10.0.0.1/', false],
    ['b.example', 'https://[::1]/', false],
    ['b.example', 'https://b.example\0.evil.example/', false],
  ])('URI %s and %s', (base, name, within) => {
    expect(permits(uri(base), uri(name))).toBe(within);
  });

  it('URIs without a host are refused where hosts are excluded', () => {
    expect(excludes(uri('b.example'), uri('urn:x'))).toBe(true);
    expect(excludes(uri('b.example'), uri('https://c.example'))).toBe(false);
  });

  it('IP addresses by prefix', () => {
    const ten = ip(10, 0, 0, 0, 255, 0, 0, 0);
    expect(permits(ten, ip(10, 1, 2, 3))).toBe(true);
    expect(permits(ten, ip(11, 1, 2, 3))).toBe(false);
    expect(permits(ip(10, 0, 0, 0, 255, 0, 255, 0), ip(10, 0, 0, 1))).toBe(false);
    expect(permits(ten, ip(10, 1, 2))).toBe(false);
    expect(permits(ip(10, 0, 0, 0), ip(10, 0, 0, 0))).toBe(false);
    const sixteen = Array.from({ length: 16 }, () => 0);
    expect(permits(ten, ip(...sixteen))).toBe(false);
    expect(permits(ip(...sixteen, ...sixteen), ip(...sixteen))).toBe(true);
    expect(excludes(ten, ip(...sixteen))).toBe(false);
  });

  it('distinguished names, in the subject and in subjectAltName', () => {
    const base = directory(distinguishedName([O, printableString('Example')]));
    const inside = distinguishedName([O, utf8String('EXAMPLE')], [CN, 'x']);
    const outside = distinguishedName([O, 'Evil'], [CN, 'x']);
    expect(outcome([base], [], [], inside)).toBe('valid');
    expect(outcome([base], [], [], outside)).toBe('name-constraints');
    expect(outcome([base], [], [directory(outside)], inside)).toBe('name-constraints');
    expect(outcome([base], [], [mailbox('a@b.example')], sequence())).toBe('valid');
    expect(outcome([], [base], [], inside)).toBe('name-constraints');
  });

  it('of forms that nothing reads refuse names of the same form, and no others', () => {
    const upn = (text: string) => other('1.3.6.1.4.1.311.20.2.3', utf8String(text));
    expect(outcome([upn('x')], [], [upn('x')])).toBe('name-constraints');
    expect(outcome([], [upn('x')], [upn('y')])).toBe('name-constraints');
    expect(outcome([upn('x')], [], [other('1.2.3', utf8String('x'))])).toBe('valid');
    expect(
      outcome([implicitPrimitive(8, Buffer.from([42]))], [], [implicitPrimitive(8, Buffer.from([43]))]),
    ).toBe('name-constraints');
    expect(outcome([upn('x')], [], [mailbox('a@b.example')])).toBe('valid');
  });
});

describe('constraints along a path', () => {
  const above = (name: string, issuer: string, base: string, critical = true) =>
    makeCa(name, issuer, [nameConstraints([mailbox(base)], [], critical)]);
  const judge = (certificate: ReturnType<typeof makeEnd>, ...pool: ReturnType<typeof makeEnd>[]) =>
    validatePath({ certificate, pool, anchors: [root], at: now }).outcome;

  it('only ever get narrower', () => {
    const wide = above('Wide', 'Root', '.example');
    const narrow = above('Narrow', 'Wide', 'b.example');
    const widened = above('Widened', 'Narrow', '.example');
    const names = (name: string, issuer: string) => makeEnd('End', issuer, [subjectAltName(mailbox(name))]);
    expect(judge(names('a@b.example', 'Narrow'), wide, narrow)).toBe('valid');
    expect(judge(names('a@c.example', 'Narrow'), wide, narrow)).toBe('invalid');
    expect(judge(names('a@c.example', 'Widened'), wide, narrow, widened)).toBe('invalid');
  });

  it('hold when they are not critical', () => {
    const ca = above('CA', 'Root', 'b.example', false);
    expect(judge(makeEnd('End', 'CA', [subjectAltName(mailbox('a@c.example'))]), ca)).toBe('invalid');
  });

  it('hold for a self-issued end entity, not for a self-issued CA (§6.1.3 (b))', () => {
    const ca = makeCa('CA', 'Root', [nameConstraints([directory(distinguishedName([O, 'Example']))])]);
    const rollover = makeCertificate({
      subject: 'CA',
      key: ecKey('CA new'),
      issuerKey: ecKey('CA'),
      extensions: [basicConstraints(true), keyUsage(5)],
    });
    const inside = distinguishedName([O, 'Example'], [CN, 'End']);
    const end = makeCertificate({
      subject: inside,
      issuer: 'CA',
      key: ecKey('End'),
      issuerKey: ecKey('CA new'),
    });
    expect(judge(end, ca, rollover)).toBe('valid');
    expect(judge(rollover, ca)).toBe('invalid');
  });

  it.each<[string, Buffer]>([
    ['are empty', sequence()],
    ['have an empty list', sequence(implicitConstructed(0))],
    [
      'have a minimum',
      sequence(
        implicitConstructed(0, sequence(mailbox('b.example'), implicitPrimitive(0, Buffer.from([1])))),
      ),
    ],
    [
      'have a maximum',
      sequence(
        implicitConstructed(0, sequence(mailbox('b.example'), implicitPrimitive(1, Buffer.from([9])))),
      ),
    ],
    [
      'have a name of no form',
      sequence(implicitConstructed(0, sequence(implicitPrimitive(9, Buffer.from([1]))))),
    ],
  ])('fail the path when they %s', (_, value) => {
    const ca = makeCa('CA', 'Root', [extension('2.5.29.30', value, true)]);
    expect(judge(makeEnd('End', 'CA'), ca)).toBe('invalid');
  });

  it('cost a bounded number of comparisons, and refuse beyond it', () => {
    const bases = Array.from({ length: 1_000 }, (_, i) => mailbox(`no${i}.example`));
    const names = Array.from({ length: 1_000 }, (_, i) => mailbox(`a@b${i}.example`));
    expect(outcome([], bases, names.slice(0, 50))).toBe('valid');
    expect(outcome([], bases, names)).toBe('name-constraints');
  });
});
