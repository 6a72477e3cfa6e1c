import { describe, expect, test } from 'vitest';
import { decideOutbound, type OutboundDecision } from '../../src/policy/decide-outbound.ts';
import type { RecipientFacts, SigningFacts } from '../../src/policy/facts.ts';
import { facts, recipient, rule } from './facts.ts';

const bob = recipient('bob@partner.example', 'verified');
const carol = recipient('carol@partner.example', 'pinned');
const dave = recipient('dave@nowhere.example');
const away: SigningFacts = { kind: 'unavailable', duration: 'temporary', publicText: 'The token is away.' };
const noKey: SigningFacts = { kind: 'unavailable', duration: 'permanent', publicText: 'There is no key.' };

function refusal(decision: OutboundDecision) {
  if (decision.kind !== 'refuse') throw new Error(`not refused: ${JSON.stringify(decision)}`);
  return decision;
}

describe('who may send as whom', () => {
  test.each([
    ['an address of somebody else', { from: 'boss@example.org' }],
    ['an address in other case before the @', { from: 'Alice@example.org' }],
    ['a domain below', { from: 'alice@mail.example.org' }],
    ['no From address', { from: null }],
    ['a Sender of somebody else', { sender: 'boss@example.org' }],
    ['a login without addresses', { belongs: [] }],
    ['an empty domain that equals another empty one', { from: 'alice@', belongs: ['alice@'] }],
  ])('%s is refused with 5.7.1, whatever the rules say', (_, changed) => {
    const rules = [rule({ sign: 'never', encrypt: 'never' })];
    const decision = refusal(decideOutbound(facts(changed), rules));
    expect(decision).toMatchObject({ duration: 'permanent', enhancedCode: '5.7.1', rule: null });
  });

  test('the refusal names the login, the address and the addresses that would do', () => {
    const decision = refusal(decideOutbound(facts({ from: 'boss@example.org' }), []));
    expect(decision.publicText).toMatch(/login alice .* boss@example\.org \(From\).* alice@example\.org/);
  });

  test.each([
    ['domains are compared without case', { from: 'alice@EXAMPLE.org' }],
    [
      'domains of other scripts are compared as A-labels',
      { from: 'a@bücher.example', belongs: ['a@xn--bcher-kva.example'] },
    ],
    [
      'Sender may be another address of the login',
      { sender: 'office@example.org', belongs: ['alice@example.org', 'office@example.org'] },
    ],
  ])('%s', (_, changed) => {
    expect(decideOutbound(facts(changed), [rule({})]).kind).toBe('deliver');
  });
});

describe('which rule decides', () => {
  const strict = rule({
    name: 'strict',
    when: { recipientDomain: ['*.partner.example', 'partner.example'] },
  });
  const open = rule({ name: 'open', sign: 'never', encrypt: 'never' });

  test('the first that applies to the recipient', () => {
    const decision = decideOutbound(facts({ recipients: [bob, dave] }), [strict, open]);
    expect(decision).toMatchObject({
      kind: 'deliver',
      variants: [
        {
          recipients: [0],
          sign: { form: 'clear' },
          encrypt: { certificates: [0], subject: 'keep' },
          rule: 'strict',
        },
        { recipients: [1], sign: null, encrypt: null, rule: 'open' },
      ],
    });
    expect(decideOutbound(facts({ recipients: [bob] }), [open, strict])).toMatchObject({
      variants: [{ sign: null, encrypt: null, rule: 'open' }],
    });
  });

  test('none applies: nobody gets anything', () => {
    const decision = refusal(decideOutbound(facts({ recipients: [bob, dave] }), [strict]));
    expect(decision).toMatchObject({
      duration: 'permanent',
      enhancedCode: '5.7.1',
      rule: null,
      recipients: [1],
    });
    expect(decision.publicText).toContain('dave@nowhere.example');
  });

  test.each([
    ['bob@PARTNER.example', 'strict'],
    ['bob@a.b.partner.example', 'strict'],
    ['bob@partner.example.', 'strict'],
    ['bob@ｐartner.example', 'strict'],
    ['bob@evilpartner.example', 'open'],
    ['"x@partner.example"@other.example', 'open'],
    ['bob@partner.example.evil.example', 'open'],
  ])('%s falls under the rule %s', (address, name) => {
    const decision = decideOutbound(facts({ recipients: [recipient(address, 'verified')] }), [strict, open]);
    expect(decision).toMatchObject({ variants: [{ rule: name }] });
  });

  test('a recipient in other case does not slip past a rule', () => {
    const only = rule({ name: 'carol', when: { recipient: ['carol@partner.example'] } });
    const decision = decideOutbound(facts({ recipients: [recipient('CAROL@Partner.example', 'pinned')] }), [
      only,
      open,
    ]);
    expect(decision).toMatchObject({ variants: [{ rule: 'carol' }] });
  });

  test.each([
    [{ login: ['bob'] }, 'open'],
    [{ login: ['bob', 'alice'] }, 'it'],
    [{ sender: ['alice@example.org'] }, 'it'],
    [{ sender: ['office@example.org'] }, 'open'],
    [{ senderDomain: ['example.org'] }, 'it'],
    [{ senderDomain: ['*.example.org'] }, 'open'],
    [{ senderDomain: ['*'], login: ['bob'] }, 'open'],
  ])('all that %j says must hold', (when, name) => {
    const decision = decideOutbound(facts({}), [rule({ name: 'it', when }), open]);
    expect(decision).toMatchObject({ variants: [{ rule: name }] });
  });
});

describe('signing', () => {
  test.each([
    ['require', away, 'temporary', '4.7.5'],
    ['require', noKey, 'permanent', '5.7.5'],
    // An outage must not decide what is protected.
    ['if-possible', away, 'temporary', '4.7.5'],
  ] as const)('%s without a key (%j) is refused', (sign, signing, duration, enhancedCode) => {
    const decision = refusal(decideOutbound(facts({ signing }), [rule({ sign })]));
    expect(decision).toMatchObject({ duration, enhancedCode });
    expect(decision.publicText).toContain(signing.publicText);
  });

  test('if-possible without any key is sent unsigned, and never is never signed', () => {
    expect(decideOutbound(facts({ signing: noKey }), [rule({ sign: 'if-possible' })])).toMatchObject({
      variants: [{ sign: null, encrypt: { certificates: [0] } }],
    });
    expect(decideOutbound(facts({}), [rule({ sign: 'never' })])).toMatchObject({
      variants: [{ sign: null }],
    });
  });

  test('the form is the rule’s', () => {
    expect(decideOutbound(facts({}), [rule({ form: 'opaque' })])).toMatchObject({
      variants: [{ sign: { form: 'opaque' } }],
    });
  });
});

describe('encryption', () => {
  test('require without certificate refuses the mail to everybody and says what to do', () => {
    const decision = refusal(decideOutbound(facts({ recipients: [bob, dave, carol] }), [rule({})]));
    expect(decision).toMatchObject({ duration: 'permanent', enhancedCode: '5.7.1', recipients: [1] });
    expect(decision.publicText).toMatch(
      /^To dave@nowhere\.example: .*must be encrypted.*Nothing was sent.*signed mail/,
    );
  });

  test('send-signed sends to those without certificate signed, and not unsigned', () => {
    const rules = [rule({ sign: 'if-possible', withoutCertificate: 'send-signed' })];
    expect(decideOutbound(facts({ recipients: [bob, dave] }), rules)).toMatchObject({
      variants: [
        { recipients: [0], encrypt: { certificates: [0] } },
        { recipients: [1], sign: { form: 'clear' }, encrypt: null },
      ],
    });
    expect(decideOutbound(facts({ recipients: [dave], signing: noKey }), rules)).toMatchObject({
      kind: 'refuse',
    });
  });

  test.each(['require', 'if-possible'] as const)(
    '%s with a directory that is away is refused for now',
    (encrypt) => {
      const unknown = { ...dave, certificates: { kind: 'lookup-failed' } as const };
      const decision = refusal(decideOutbound(facts({ recipients: [bob, unknown] }), [rule({ encrypt })]));
      expect(decision).toMatchObject({ duration: 'temporary', enhancedCode: '4.4.3', recipients: [1] });
    },
  );

  /** Beside what is known a source that might know more could not be asked. */
  const incomplete = (known: RecipientFacts): RecipientFacts => {
    if (known.certificates.kind !== 'usable') throw new Error('nothing is known');
    return { ...known, certificates: { ...known.certificates, incomplete: true } };
  };

  test.each([
    ['require', 'harvested', ['harvested'], 0],
    ['if-possible', 'directory', ['harvested', 'directory'], 1],
    ['require', 'verified', ['verified'], 0],
    ['require', 'verified', ['harvested'], null],
    ['if-possible', 'verified', ['harvested', 'directory'], null],
    ['if-possible', 'directory', ['harvested'], null],
  ] as const)(
    '%s of at least %s, with %j and a source that is away: certificate %s',
    (encrypt, minTrust, trust, used) => {
      const given = facts({ recipients: [incomplete(recipient('bob@partner.example', ...trust))] });
      const decision = decideOutbound(given, [
        rule({ encrypt, minTrust, withoutCertificate: 'send-signed', sign: 'if-possible' }),
      ]);
      expect(decision).toMatchObject(
        used === null
          ? { kind: 'refuse', duration: 'temporary', enhancedCode: '4.4.3' }
          : { kind: 'deliver', variants: [{ encrypt: { certificates: [used] } }] },
      );
    },
  );

  test('what is known, and doubted under hard, is no answer while a source is away', () => {
    const known = recipient('bob@partner.example', 'verified');
    const doubted: RecipientFacts = {
      ...known,
      certificates: {
        ...{ kind: 'usable', incomplete: true },
        certificates: [{ trust: 'verified', doubt: { because: 'Nobody can say.', mayPass: false } }],
      },
    };
    const given = facts({ recipients: [doubted], revocation: 'hard' });
    expect(decideOutbound(given, [rule({ encrypt: 'if-possible' })])).toMatchObject({
      ...{ kind: 'refuse', duration: 'temporary', enhancedCode: '4.4.3' },
    });
  });

  test.each([
    ['yes', ['harvested'], 'deliver'],
    ['harvested', ['harvested'], 'deliver'],
    ['verified', ['harvested'], 'refuse'],
  ] as const)(
    'certificateKnown: %s with %j and a source that is away: %s, never the rule behind it',
    (certificateKnown, trust, kind) => {
      const given = facts({ recipients: [incomplete(recipient('bob@partner.example', ...trust))] });
      const rules = [
        rule({ when: { certificateKnown }, minTrust: 'harvested' }),
        rule({ name: 'behind', encrypt: 'never' }),
      ];
      const decision = decideOutbound(given, rules);
      expect(decision).toMatchObject(
        kind === 'deliver'
          ? { kind, variants: [{ encrypt: { certificates: [0] } }] }
          : { kind, duration: 'temporary' },
      );
    },
  );

  test('what will never pass is said before what may pass later', () => {
    const unknown = { ...bob, certificates: { kind: 'lookup-failed' } as const };
    const decision = refusal(decideOutbound(facts({ recipients: [unknown, dave] }), [rule({})]));
    expect(decision).toMatchObject({ duration: 'permanent', recipients: [0, 1] });
    expect(decision.publicText).toMatch(/^To dave@nowhere\.example \(and 1 more for other reasons\)/);
  });

  test.each([
    ['harvested', ['harvested'], 0],
    ['verified', ['harvested', 'verified', 'pinned'], 1],
    ['pinned', ['verified', 'pinned'], 1],
    ['pinned', ['harvested', 'verified'], null],
    ['verified', ['harvested'], null],
  ] as const)('with at least %s of %j certificate %s is used', (minTrust, trust, used) => {
    const given = facts({ recipients: [recipient('bob@partner.example', ...trust)] });
    const decision = decideOutbound(given, [rule({ minTrust, encrypt: 'if-possible' })]);
    expect(decision).toMatchObject({
      variants: [{ encrypt: used === null ? null : { certificates: [used] } }],
    });
    if (used === null) {
      const refused = refusal(decideOutbound(given, [rule({ minTrust })]));
      expect(refused.publicText).toContain('not trusted enough');
    }
  });

  test('each recipient keeps a certificate of its own in a shared variant', () => {
    const mixed = [recipient('a@x.example', 'harvested', 'verified'), recipient('b@x.example', 'pinned')];
    expect(decideOutbound(facts({ recipients: mixed }), [rule({})])).toMatchObject({
      variants: [{ recipients: [0, 1], encrypt: { certificates: [1, 0] } }],
    });
  });
});

describe('blind copies', () => {
  test('share a message with nobody, so that no RecipientInfo betrays them', () => {
    const recipients = [
      bob,
      { ...carol, visible: false },
      recipient('e@x.example', 'verified'),
      { ...dave, visible: false },
    ];
    const decision = decideOutbound(facts({ recipients }), [rule({ encrypt: 'if-possible' })]);
    expect(decision).toMatchObject({
      variants: [{ recipients: [0, 2] }, { recipients: [1] }, { recipients: [3] }],
    });
  });
});

describe('mail that the client has protected', () => {
  test('encrypted: leaves as it is, to those without certificate too', () => {
    const given = facts({ protection: 'encrypted', recipients: [bob, dave], signing: noKey });
    expect(decideOutbound(given, [rule({})])).toEqual({
      kind: 'forward-unchanged',
      appendTo: [],
      rule: 'rule',
      requireTls: false,
    });
  });

  test('signed: keeps its signature and is encrypted where the rule asks for it', () => {
    const given = facts({ protection: 'signed', recipients: [bob, dave], signing: noKey });
    expect(decideOutbound(given, [rule({ encrypt: 'if-possible' })])).toMatchObject({
      kind: 'deliver',
      variants: [
        { recipients: [0], sign: null, encrypt: { certificates: [0], subject: 'keep' }, rule: 'rule' },
        { recipients: [1], sign: null, encrypt: null, rule: 'rule' },
      ],
    });
    expect(decideOutbound(given, [rule({ encrypt: 'never' })])).toEqual({
      kind: 'forward-unchanged',
      appendTo: [],
      requireTls: false,
      rule: 'rule',
    });
  });

  test('signed: does not leave unencrypted where the rule requires encryption', () => {
    const given = facts({ protection: 'signed', recipients: [dave] });
    expect(decideOutbound(given, [rule({})])).toMatchObject({ kind: 'refuse', recipients: [0] });
    expect(decideOutbound(given, [rule({ withoutCertificate: 'send-signed' })])).toMatchObject({
      kind: 'forward-unchanged',
      appendTo: [],
      requireTls: false,
    });
  });

  test.each(['signed', 'encrypted'] as const)(
    '%s: is refused where the rule of one recipient says so',
    (protection) => {
      const rules = [
        rule({ name: 'no', when: { recipient: [dave.address] }, alreadyProtected: 'refuse' }),
        rule({ name: 'yes' }),
      ];
      const decision = refusal(decideOutbound(facts({ protection, recipients: [bob, dave] }), rules));
      expect(decision).toMatchObject({ duration: 'permanent', rule: 'no', recipients: [1] });
      expect(decision.publicText).toContain(protection);
    },
  );

  test('is not forwarded in somebody else’s name', () => {
    const given = facts({ protection: 'encrypted', from: 'boss@example.org' });
    expect(decideOutbound(given, [rule({})]).kind).toBe('refuse');
  });
});

describe('what a refusal says', () => {
  test('stays one line, whatever is in an address', () => {
    const evil = recipient('x\r\n250 2.0.0 ok\u2028\u202e@nowhere.example');
    const decision = refusal(decideOutbound(facts({ recipients: [evil] }), [rule({})]));
    expect(decision.publicText).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  });

  test('stays short for many recipients', () => {
    const many = Array.from({ length: 500 }, (_, i) => recipient(`r${i}@nowhere.example`));
    const decision = refusal(decideOutbound(facts({ recipients: many }), [rule({})]));
    expect(decision.recipients).toHaveLength(500);
    expect(decision.publicText).toContain('and 497 more');
    expect(decision.publicText.length).toBeLessThan(480);
  });
});
