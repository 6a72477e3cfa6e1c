import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openMessage } from '../../src/smime/open.ts';
import { corpus, corpusCertificate } from '../pki/corpora.ts';
import { signaturesOf } from '../smime/support/people.ts';

/**
 * Every mail of PKITS as a reader's mail program gets it: with nothing but the trust anchor, the chain and the CRLs come
 * with the mail. What mail cannot ask for, policies, is left to test/pki/pkits.test.ts.
 */
type Row = { test: string; title: string; mail: string; valid: boolean };

const rows = (JSON.parse(readFileSync(corpus('pkits', 'expected.json'), 'utf8')) as Row[]).filter(
  (row) => !Object.keys(row).some((key) => key.startsWith('initial')),
);
const anchor = corpusCertificate('pkits', 'certs', 'TrustAnchorRootCertificate.crt');
const at = new Date('2026-11-01T00:00:00Z');

/** Their chains have DSA keys of 1,024 bits and SHA-1, which no mail is trusted for today. */
const LEGACY = new Set(['4.1.4', '4.1.5']);

describe('PKITS, as mail', () => {
  it.each(rows.map((row) => [`${row.test} ${row.title}: ${row.mail}`, row] as const))(
    '%s',
    async (_, row) => {
      const octets = readFileSync(corpus('pkits', 'smime', row.mail));
      const opening = await openMessage(octets, [], { at, anchors: [anchor], pool: [] });
      const signatures = signaturesOf(opening);
      expect(signatures).toHaveLength(1);
      const trusted = signatures.every(
        ({ signature, path, revocation }) =>
          signature === 'good' && path?.outcome === 'valid' && revocation === 'good',
      );
      expect(trusted).toBe(row.valid && !LEGACY.has(row.test));
    },
  );
});
