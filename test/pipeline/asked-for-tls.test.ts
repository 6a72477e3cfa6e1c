import { expect, test } from 'vitest';
import { asClientAsksForTls } from '../../src/pipeline/asked-for-tls.ts';
import type { HeldVariant, OutboundDecision, OutboundVariant } from '../../src/policy/decide-outbound.ts';
import type { Envelope } from '../../src/smtp/envelope.ts';

const variant: OutboundVariant = {
  ...{ recipients: [0], sign: null, encrypt: null, strip: null, algorithms: null, requireTls: false },
  ...{ rule: 'all', appendTo: [] },
};
const held: HeldVariant = {
  ...{ recipients: [{ index: 1, because: 'there is no certificate' }], sign: null, strip: null },
  ...{ readable: false, introduce: false },
  terms: {
    ...{ rule: 'all', ask: false, minTrust: 'verified', revocation: 'soft', algorithms: null },
    ...{ subject: 'keep', requireTls: 'no', appendTo: null },
  },
};
const asking = (...keywords: string[]): Envelope => ({
  reversePath: null,
  mailParameters: keywords.map((keyword) => ({ keyword, value: null })),
  recipients: [],
});

test('RFC 8689 §3: what the client asks for holds for each message, also for one that waits', () => {
  const decision: OutboundDecision = { kind: 'deliver', variants: [variant, variant], held: [held] };
  expect(asClientAsksForTls(decision, asking('REQUIRETLS'))).toEqual({
    kind: 'deliver',
    variants: [
      { ...variant, requireTls: true },
      { ...variant, requireTls: true },
    ],
    held: [{ ...held, terms: { ...held.terms, requireTls: 'onward' } }],
  });
  const unchanged = { kind: 'forward-unchanged', rule: 'all', requireTls: false, appendTo: [] } as const;
  expect(asClientAsksForTls(unchanged, asking('REQUIRETLS'))).toEqual({ ...unchanged, requireTls: true });
});

test('without that the rules decide alone', () => {
  const decision: OutboundDecision = { kind: 'deliver', variants: [variant], held: [held] };
  expect(asClientAsksForTls(decision, asking('SMTPUTF8'))).toBe(decision);
});
