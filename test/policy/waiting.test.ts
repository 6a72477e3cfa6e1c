import { describe, expect, test } from 'vitest';
import { decideAtRecipient } from '../../src/policy/decide-at-recipient.ts';
import { decideOutbound, type HeldVariant, type OutboundDecision } from '../../src/policy/decide-outbound.ts';
import { explain, recipientLines } from '../../src/policy/explain.ts';
import type { CertificateFacts, OutboundFacts, SigningFacts } from '../../src/policy/facts.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { facts, MESSAGE, ORIGIN, recipient, rule } from './facts.ts';

/** Mail that waits (`hold`, `ask`), as tables. */

const bob = recipient('bob@partner.example', 'verified');
const dave = recipient('dave@nowhere.example');
const erin = { ...recipient('erin@nowhere.example'), visible: false };
const noKey: SigningFacts = { kind: 'unavailable', duration: 'permanent', publicText: 'There is no key.' };
const away: SigningFacts = { kind: 'unavailable', duration: 'temporary', publicText: 'The token is away.' };
const HOLD = { withoutCertificate: 'hold' } as const;
const ASK = { withoutCertificate: 'ask' } as const;

const of = (certificates: CertificateFacts): Partial<OutboundFacts> => ({
  recipients: [{ ...dave, certificates }],
});

function held(decision: OutboundDecision): HeldVariant {
  if (decision.kind !== 'deliver') throw new Error(JSON.stringify(decision));
  const [one] = decision.held;
  if (one === undefined || decision.held.length !== 1 || decision.variants.length !== 0) {
    throw new Error(JSON.stringify(decision));
  }
  return one;
}

function decided(changes: Partial<Rule>, changed: Partial<OutboundFacts> = {}): HeldVariant {
  return held(decideOutbound(facts({ recipients: [dave], ...changed }), [rule({ ...HOLD, ...changes })]));
}

describe('why a recipient waits', () => {
  const soon = { because: 'Nobody answered.', mayPass: true };
  const never = { because: 'Nobody can be asked.', mayPass: false };
  test.each<[string, CertificateFacts, Partial<Rule>, RegExp]>([
    ['no certificate', { kind: 'none' }, {}, /^no valid certificate is known$/],
    ['one that cannot be used', { kind: 'unusable', because: 'It has expired.' }, {}, /: It has expired$/],
    [
      'one of too little trust',
      { kind: 'usable', certificates: [{ trust: 'harvested' }] },
      {},
      /not trusted enough/,
    ],
    [
      'one that hard will never take',
      { kind: 'usable', certificates: [{ trust: 'pinned', doubt: never }] },
      { revocation: 'hard' },
      /: Nobody can be asked$/,
    ],
  ])('%s', (_, certificates, changes, because) => {
    expect(decided(changes, of(certificates)).recipients).toEqual([
      { index: 0, because: expect.stringMatching(because) },
    ]);
  });

  test.each<[string, CertificateFacts, Partial<Rule>, string]>([
    ['a look-up that failed', { kind: 'lookup-failed' }, {}, '4.4.3'],
    [
      'a source that may know more',
      { kind: 'usable', certificates: [{ trust: 'harvested' }], incomplete: true },
      {},
      '4.4.3',
    ],
    [
      'a revocation that may be known later',
      { kind: 'usable', certificates: [{ trust: 'pinned', doubt: soon }] },
      { revocation: 'hard' },
      '4.7.5',
    ],
  ])('%s is a refusal for now, and nobody waits for it', (_, certificates, changes, enhancedCode) => {
    for (const without of [HOLD, ASK]) {
      const decision = decideOutbound(facts(of(certificates)), [rule({ ...without, ...changes })]);
      expect(decision).toMatchObject({ kind: 'refuse', duration: 'temporary', enhancedCode });
    }
  });
});

describe('under which terms', () => {
  test.each<[string, Partial<Rule>, object]>([
    ['hold', {}, { ask: false, minTrust: 'verified', subject: 'keep', requireTls: 'no', appendTo: null }],
    ['ask', ASK, { ask: true }],
    ['the trust', { minTrust: 'pinned' }, { minTrust: 'pinned' }],
    ['revocation as everywhere', {}, { revocation: 'soft' }],
    ['revocation of the rule', { revocation: 'hard' }, { revocation: 'hard' }],
    ['the Subject', { subject: 'protect' }, { subject: 'protect' }],
    ['TLS', { requireTls: 'onward' }, { requireTls: 'onward' }],
    ['the archive', { appendTo: 'sent' }, { appendTo: 'sent' }],
    [
      'algorithms',
      { algorithms: { contentEncryption: 'aes256-gcm', keyManagement: null, signature: null } },
      { algorithms: { contentEncryption: 'aes256-gcm', keyManagement: null, signature: null } },
    ],
  ])('%s', (_, changes, terms) => {
    expect(decided(changes).terms).toMatchObject({ rule: 'rule', ...terms });
  });

  test.each<[string, Partial<Rule>, Partial<OutboundFacts>, Partial<HeldVariant>]>([
    ['signed in the form of the rule', { form: 'opaque' }, {}, { sign: { form: 'opaque' } }],
    ['unsigned by never', { sign: 'never' }, {}, { sign: null, readable: false }],
    ['unsigned where nobody can', { sign: 'if-possible' }, { signing: noKey }, { sign: null }],
    ['hold: nothing to send readable', {}, {}, { readable: false }],
    ['ask: readable once it is signed', ASK, {}, { readable: true }],
    [
      'ask: nothing readable that is not signed',
      { ...ASK, sign: 'if-possible' },
      { signing: noKey },
      { readable: false },
    ],
    [
      'signed by its mail program',
      ASK,
      { protection: 'signed' },
      { sign: null, strip: null, readable: true },
    ],
    ['introduced', { introduce: true }, {}, { introduce: true }],
    [
      'introduced by nobody who cannot sign',
      { introduce: true, sign: 'if-possible' },
      { signing: noKey },
      { introduce: false },
    ],
    ['introduced by nobody who does not sign', { introduce: true, sign: 'never' }, {}, { introduce: false }],
    [
      'without its tags',
      { stripTag: true, steering: { tags: true, header: null, mayLower: false } },
      {},
      { strip: { tags: ['encrypt', 'plain', 'sign'], field: null } },
    ],
  ])('%s', (_, changes, changed, expected) => {
    expect(decided(changes, changed)).toMatchObject(expected);
  });

  test('what a mail program has signed cannot hide its Subject', () => {
    expect(decided({ subject: 'protect' }, { protection: 'signed' }).terms.subject).toBe('keep');
  });
});

describe('what does not wait', () => {
  test('mail that need not be encrypted, mail that can be, and mail that is', () => {
    const rules = [rule({ ...HOLD, encrypt: 'if-possible' })];
    expect(decideOutbound(facts({ recipients: [dave] }), rules)).toMatchObject({ held: [], variants: [{}] });
    expect(decideOutbound(facts({ recipients: [bob] }), [rule(HOLD)])).toMatchObject({ held: [] });
    const encrypted = facts({ recipients: [dave], protection: 'encrypted' });
    expect(decideOutbound(encrypted, [rule(HOLD)]).kind).toBe('forward-unchanged');
  });

  test('an author who asks for encryption has it wait, where the rule is like that', () => {
    const message = { ...MESSAGE, tags: { found: ['encrypt'], looked: null } };
    const steering = { tags: true, header: null, mayLower: false };
    expect(decided({ encrypt: 'if-possible', steering }, { message }).terms.ask).toBe(false);
  });

  test.each<[string, Partial<Rule>, Partial<OutboundFacts>, string]>([
    ['a signature that must be and cannot', {}, { signing: noKey }, '5.7.5'],
    ['a key that is away', { sign: 'if-possible' }, { signing: away }, '4.7.5'],
    [
      'a way without TLS',
      { requireTls: 'upstream' },
      { upstream: { tls: false, requireTls: false } },
      '5.7.1',
    ],
    ['a form that somebody would have to sign around later', { form: 'triple-wrap' }, {}, '5.7.1'],
  ])('%s is a refusal', (_, changes, changed, enhancedCode) => {
    const decision = decideOutbound(facts({ recipients: [dave], ...changed }), [
      rule({ ...HOLD, ...changes }),
    ]);
    expect(decision).toMatchObject({ kind: 'refuse', enhancedCode });
  });

  test('anything, where one recipient is refused', () => {
    const rules = [rule({ when: { recipient: [erin.address] } }), rule({ name: 'wait', ...HOLD })];
    expect(decideOutbound(facts({ recipients: [bob, dave, erin] }), rules)).toMatchObject({
      kind: 'refuse',
      recipients: [2],
    });
  });

  test('nobody is told at RCPT TO', () => {
    for (const without of [HOLD, ASK]) expect(decideAtRecipient(ORIGIN, dave, [rule(without)])).toBeNull();
  });
});

describe('several recipients', () => {
  test('who can be encrypted to has the mail now, the others wait together, blind copies too', () => {
    const decision = decideOutbound(facts({ recipients: [dave, bob, erin] }), [rule(HOLD)]);
    expect(decision).toMatchObject({
      variants: [{ recipients: [1], encrypt: { certificates: [0] } }],
      held: [{ recipients: [{ index: 0 }, { index: 2 }] }],
    });
  });

  test('each rule has its own terms', () => {
    const rules = [
      rule({ name: 'asks', when: { recipient: [dave.address] }, ...ASK }),
      rule({ name: 'waits', ...HOLD }),
    ];
    const decision = decideOutbound(facts({ recipients: [dave, erin] }), rules);
    expect(decision).toMatchObject({
      variants: [],
      held: [{ terms: { rule: 'asks', ask: true } }, { terms: { rule: 'waits', ask: false } }],
    });
  });

  test('mail that its program has signed: as it is to those who need no more', () => {
    const rules = [rule({ when: { recipient: [bob.address] }, encrypt: 'never' }), rule(HOLD)];
    const decision = decideOutbound(facts({ protection: 'signed', recipients: [bob, dave] }), rules);
    expect(decision).toMatchObject({
      variants: [{ recipients: [0], sign: null, encrypt: null }],
      held: [{ recipients: [{ index: 1 }], sign: null }],
    });
  });
});

test('archives are those of the rules of all who share a message', () => {
  const rules = [
    rule({ when: { recipient: ['x@partner.example'] }, appendTo: 'sent' }),
    rule({ when: { recipient: ['y@partner.example'] }, appendTo: 'journal' }),
    rule({}),
  ];
  const recipients = ['x', 'y', 'z'].map((name) => recipient(`${name}@partner.example`, 'verified'));
  expect(decideOutbound(facts({ recipients }), rules)).toMatchObject({
    variants: [{ recipients: [0, 1, 2], appendTo: ['sent', 'journal'] }],
  });
  expect(decideOutbound(facts({ recipients, protection: 'encrypted' }), rules)).toMatchObject({
    appendTo: ['sent', 'journal'],
  });
});

test.each<[Partial<Rule>, readonly string[]]>([
  [{ notify: ['it@example.org', 'x@example.org'] }, ['  told of it: it@example.org and x@example.org']],
  [{ ...HOLD, appendTo: 'sent' }, ['  a copy of what leaves goes into sent']],
  // Nothing leaves of what is refused; who is told hears of that.
  [{ appendTo: 'sent', notify: ['it@example.org'] }, ['  told of it: it@example.org']],
])('who is told, and where copies go: %j', (changes, lines) => {
  const [explained] = explain(facts({ recipients: [dave] }), [rule(changes)]).recipients;
  if (explained === undefined) throw new Error('nobody');
  expect(recipientLines(explained).slice(-lines.length)).toEqual(lines);
  expect(recipientLines(explained).at(-1 - lines.length)).toMatch(/^ {2}would/);
});

test.each<[Partial<Rule>, RegExp]>([
  [
    HOLD,
    /^ {2}would wait signed \(clear\), since no valid certificate is known; it would leave encrypted, its Subject readable on the way, once a certificate of the trust verified is known \(revocation: soft\)$/,
  ],
  [
    { ...ASK, subject: 'protect' },
    /its Subject hidden on the way.*; its author would be asked, and may send it signed only$/,
  ],
  [{ ...ASK, sign: 'never' }, /^ {2}would wait not signed.*; its author would be asked$/],
  [
    { ...HOLD, introduce: true, requireTls: 'upstream' },
    /, by TLS only, once.*; a signed note of its author would ask for a signed answer$/,
  ],
])('an explanation says it: %j', (changes, line) => {
  const [explained] = explain(facts({ recipients: [dave] }), [rule(changes)]).recipients;
  if (explained === undefined) throw new Error('nobody');
  expect(recipientLines(explained).at(-1)).toMatch(line);
});
