import { expect, test } from 'vitest';
import { validatePath } from '../../src/pki/path.ts';
import { type AnchorPurpose, TrustAnchors } from '../../src/pki/trust-anchors.ts';
import { makeCa, makeEnd, now } from './make-certificate.ts';

const both: ReadonlySet<AnchorPurpose> = new Set(['signing', 'encryption']);
const everywhere = makeCa('Everywhere');
const partner = makeCa('Partner');
const signer = makeCa('Signer');
const anchors = new TrustAnchors([
  { certificates: [everywhere], purposes: both, domains: null },
  { certificates: [partner], purposes: both, domains: ['partner.example', '*.partner.example'] },
  { certificates: [signer], purposes: new Set(['signing']), domains: ['*'] },
  // What one entry forbids another one may allow.
  { certificates: [signer], purposes: new Set(['encryption']), domains: ['signer.example'] },
]);

test.each<[AnchorPurpose, string | null, string[]]>([
  ['signing', 'bob@partner.example', ['Everywhere', 'Partner', 'Signer']],
  ['encryption', 'bob@PARTNER.example', ['Everywhere', 'Partner']],
  ['encryption', 'bob@mail.partner.example', ['Everywhere', 'Partner']],
  ['encryption', 'bob@notpartner.example', ['Everywhere']],
  ['encryption', 'bob@partner.example.org', ['Everywhere']],
  ['encryption', 'bob@p\u{430}rtner.example', ['Everywhere']],
  ['encryption', 'bob@signer.example', ['Everywhere', 'Signer']],
  ['signing', null, ['Everywhere']],
  ['signing', 'bob@[192.0.2.1]', ['Everywhere']],
  ['signing', 'partner.example', ['Everywhere']],
])('for %s of %j these count: %j', (purpose, address, names) => {
  const found = [...anchors.for(purpose, address)].map(({ subject }) => subject.text);
  expect(found.map((text) => text.replace('CN=', ''))).toEqual(names);
});

test('without restrictions there is one set, whatever is asked', () => {
  const free = new TrustAnchors([{ certificates: [everywhere, partner], purposes: both, domains: null }]);
  expect(free.for('signing', 'a@b.example')).toBe(free.all);
  expect(free.all.size).toBe(2);
});

test('nothing leads around a restriction by what another anchor has certified', () => {
  const leaf = makeEnd('Bob', 'Partner');
  const pool = [makeCa('Partner', 'Everywhere')];
  const pathFor = (address: string | null) =>
    validatePath({ certificate: leaf, pool, anchors: anchors.for('signing', address), at: now });
  expect(pathFor('bob@partner.example')).toMatchObject({
    outcome: 'valid',
    anchor: { fingerprint: partner.fingerprint },
  });
  expect(pathFor('bob@else.example')).toMatchObject({ outcome: 'invalid', problems: [{ check: 'no-path' }] });
  expect(pathFor(null).outcome).toBe('invalid');
  // What is not restricted is certified by whoever likes.
  const free = new TrustAnchors([{ certificates: [everywhere], purposes: both, domains: null }]);
  expect(validatePath({ certificate: leaf, pool, anchors: free.for('signing', null), at: now }).outcome).toBe(
    'valid',
  );
  // One that stands there without a restriction too may do what that entry allows.
  const twice = new TrustAnchors([
    { certificates: [everywhere, partner], purposes: both, domains: null },
    { certificates: [partner], purposes: both, domains: ['partner.example'] },
  ]);
  expect(
    validatePath({ certificate: leaf, pool, anchors: twice.for('signing', 'b@c.example'), at: now }).outcome,
  ).toBe('valid');
});
