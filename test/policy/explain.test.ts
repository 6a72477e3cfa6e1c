import { expect, test } from 'vitest';
import { decideAtRecipient } from '../../src/policy/decide-at-recipient.ts';
import { type Explanation, explain, recipientLines } from '../../src/policy/explain.ts';
import type { CertificateFacts } from '../../src/policy/facts.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { facts, ORIGIN, recipient, rule } from './facts.ts';

const linesOf = ({ recipients }: Explanation) => recipients.flatMap((one) => recipientLines(one));

const atRecipient = (address: string, certificates: CertificateFacts, rules: readonly Rule[]) =>
  decideAtRecipient(ORIGIN, { address, groups: [], certificates }, rules);

const partners = rule({ name: 'partners', when: { recipientDomain: ['partner.example'] } });
const office = rule({ name: 'office', when: { sender: ['office@example.org'] } });
const rest = rule({ name: 'rest', sign: 'if-possible', encrypt: 'if-possible' });

test('an explanation reads from the rules tried to what happens', () => {
  const given = facts({
    recipients: [recipient('bob@partner.example', 'verified'), recipient('dave@nowhere.example')],
  });
  expect(linesOf(explain(given, [office, partners, rest]))).toEqual([
    'To bob@partner.example',
    '  rule office does not apply',
    '    sender: no, the mail is from alice@example.org',
    '  rule partners applies',
    "    recipientDomain: yes, the recipient's domain is partner.example",
    '  certificates: verified',
    '  would be sent signed (clear), encrypted (certificate 1), its Subject readable on the way',
    'To dave@nowhere.example',
    '  rule office does not apply',
    '    sender: no, the mail is from alice@example.org',
    '  rule partners does not apply',
    "    recipientDomain: no, the recipient's domain is nowhere.example",
    '  rule rest applies',
    '  certificates: none',
    '  would be sent signed (clear), not encrypted',
  ]);
});

test('an explanation says what becomes of the Subject, for people and for programs', () => {
  const explanation = explain(facts({}), [rule({ subject: 'protect' })]);
  expect(linesOf(explanation)).toContain(
    '  would be sent signed (clear), encrypted (certificate 1), its Subject hidden on the way',
  );
  expect(JSON.parse(JSON.stringify(explanation))).toMatchObject({
    recipients: [{ outcome: { subject: 'protect' } }],
    decision: { variants: [{ encrypt: { subject: 'protect' } }] },
  });
  const signed = explain(facts({ protection: 'signed' }), [rule({ subject: 'protect' })]);
  expect(linesOf(signed)).toContain(
    '  would be sent not signed, encrypted (certificate 1), its Subject readable on the way',
  );
});

test('an explanation of a mail that the sender may not send is about the sender', () => {
  const { decision, recipients } = explain(facts({ from: 'boss@example.org' }), [rest]);
  expect(recipients).toEqual([]);
  expect(decision).toMatchObject({
    enhancedCode: '5.7.1',
    publicText: expect.stringMatching(/boss@example/),
  });
});

test('a certificate that cannot be encrypted to is named with its reason, also when the mail leaves without it', () => {
  const because = 'The key of this certificate is on the elliptic curve secp256k1.\r\n';
  const bob = (address: string) => ({
    ...recipient(address),
    certificates: { kind: 'unusable', because } as const,
  });
  const refused = explain(facts({ recipients: [bob('bob@partner.example')] }), [partners, rest]);
  expect(linesOf(refused)).toEqual([
    'To bob@partner.example',
    '  rule partners applies',
    "    recipientDomain: yes, the recipient's domain is partner.example",
    '  certificates: none that can be encrypted to: The key of this certificate is on the elliptic curve secp256k1.??',
    expect.stringMatching(/^ {2}would be refused \(permanent\): .*cannot be used for it: .*secp256k1/),
  ]);
  const sent = linesOf(explain(facts({ recipients: [bob('bob@nowhere.example')] }), [rest]));
  expect(sent.join('\n')).toMatch(/none that can be encrypted to: .*\n.*not encrypted/);
});

test('an explanation of a refusal says why and what to do', () => {
  const lines = linesOf(explain(facts({ recipients: [recipient('x@partner.example')] }), [partners]));
  expect(lines.join('\n')).toMatch(
    /would be refused \(permanent\): mail must be encrypted \(rule partners\)/,
  );
});

test.each([
  ['refuse-recipient', { kind: 'none' }, '5.7.1'],
  ['refuse-recipient', { kind: 'unusable', because: 'It has expired.' }, '5.7.1'],
  ['send-signed', { kind: 'unusable', because: 'It has expired.' }, null],
  ['refuse-recipient', { kind: 'lookup-failed' }, '4.4.3'],
  ['refuse-recipient', { kind: 'usable', certificates: [{ trust: 'pinned' }] }, null],
  ['refuse-all', { kind: 'none' }, null],
  ['send-signed', { kind: 'none' }, null],
] as const)('at RCPT TO %s with %j answers %s', (withoutCertificate, certificates, code) => {
  const decision = atRecipient('bob@partner.example', certificates, [rule({ withoutCertificate })]);
  expect(decision?.enhancedCode ?? null).toBe(code);
});

test('at RCPT TO nothing is said where a rule before depends on who the mail is from', () => {
  const strict = rule({ withoutCertificate: 'refuse-recipient' });
  expect(atRecipient('bob@partner.example', { kind: 'none' }, [office, strict])).toBeNull();
  const elsewhere = rule({ when: { sender: ['office@example.org'], recipientDomain: ['other.example'] } });
  expect(atRecipient('bob@partner.example', { kind: 'none' }, [elsewhere, strict])).not.toBeNull();
});
