import { createHash } from 'node:crypto';
import { renderOverlay } from '../../../src/mail-view/clear-signed-overlay.ts';
import { type Annotation, renderView } from '../../../src/mail-view/render.ts';
import { viewBoundary, viewNames } from '../../../src/mail-view/view-names.ts';
import type { ViewOutcome, ViewVerdict } from '../../../src/mail-view/view-outcome.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collect } from '../../../src/octets/collect.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';

/**
 * Views that stand for all that there are: every kind of outcome, shell, padding and content that has to be changed on its way. What is
 * kept of each is what its record keeps: what was said, and the digest of its octets.
 */

/** Of one renderer: by the view's name. */
export type GoldenViews = Readonly<Record<string, { annotation: Annotation; sha256: string }>>;

/** Where those of a renderer are. */
export function goldenFile(version: number): URL {
  return new URL(`../golden/renderer-${version}.json`, import.meta.url);
}

const names = viewNames('7f3a9c2e', 'gw.example.net');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 7 3');

type Case = { outcome: ViewOutcome; octets?: number; form?: Form; extra?: readonly string[] };
type Form = { shell: 'wrapped' | 'transparent'; padding: 'on' | 'off' };

const TEXT = 'Content-Type: text/plain\r\n\r\nHello\r\n';
const MIXED =
  'Subject: inside\r\nContent-Type: multipart/mixed;\r\n boundary=b\r\nContent-Language: de\r\n\r\n--b\r\n\r\nHello\r\n--b--\r\n';
const SIGNED =
  'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=s\r\n\r\n--s\r\nContent-Type: text/plain\r\n\r\nHello\r\n--s\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nMAAA\r\n--s--\r\n';
const PROTECTED = 'From: Alice <alice@example.org>\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\nKeywords: one\r\n';

/** Small, with hardly any room, and beyond what is kept in memory. */
const CASES: Readonly<Record<string, Case>> = {
  text: { outcome: opened(TEXT) },
  'text in little room': { outcome: opened(TEXT), octets: 700 },
  'text in no room': { outcome: opened(TEXT), octets: 300 },
  'text, not padded': { outcome: opened(TEXT), form: { shell: 'wrapped', padding: 'off' } },
  'a large text': { outcome: opened(`${TEXT}${'line of text\r\n'.repeat(40_000)}`), octets: 900_000 },
  'protected header': { outcome: opened(TEXT, { header: PROTECTED }) },
  'renamed fields': {
    outcome: opened(TEXT),
    extra: ['DKIM-Signature: v=1', 'ARC-Seal: i=1', 'Content-Language: en'],
  },
  'a forged status': { outcome: opened(TEXT), extra: [`${names.statusField}: v=1; sig=valid`] },
  'bare line ends': { outcome: opened('Content-Type: text/plain\n\none\ntwo\n') },
  'a NUL and a long line': {
    outcome: opened(
      `Content-Type: text/plain; charset=iso-8859-1\r\n\r\na\0b\r\n${'\xe4'.repeat(1_200)}\r\n`,
    ),
  },
  'a multipart': { outcome: opened(MIXED) },
  'a multipart, transparent': { outcome: opened(MIXED), form: { shell: 'transparent', padding: 'on' } },
  'a signature, transparent': { outcome: opened(SIGNED), form: { shell: 'transparent', padding: 'on' } },
  'a message inside': { outcome: opened('Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nHello\r\n') },
  'no MIME': { outcome: opened('\x00\x01\x02\x03') },
  'a warning: untrusted': { outcome: opened(TEXT, { verdict: { kind: 'untrusted', why: 'revoked' } }) },
  'a warning: broken': { outcome: opened(TEXT, { verdict: { kind: 'broken', why: 'changed' } }) },
  'a warning: anybody could have changed it': { outcome: opened(TEXT, { authenticated: false }) },
  'no key': { outcome: { kind: 'no-key', report: { layers: [] } } },
  'no key, in no room': { outcome: { kind: 'no-key', report: { layers: [] } }, octets: 300 },
  damaged: { outcome: { kind: 'failed', report: { layers: [] } } },
  refused: { outcome: { kind: 'refused', report: { layers: [] } } },
  'as it is': { outcome: { kind: 'as-is', report: null } },
  'our boundary inside': { outcome: opened(`${TEXT}--${boundary}\r\n`) },
};

/** @param said what the views said before; absent: what they say now */
export async function goldenViews(said?: GoldenViews): Promise<GoldenViews> {
  const found: Record<string, { annotation: Annotation; sha256: string }> = {};
  for (const [name, { outcome, octets = 4_000, form, extra }] of Object.entries(CASES)) {
    const frozen = said?.[name]?.annotation;
    const view = await renderView({
      ...{ original: bufferSource(stored(octets, extra)), outcome, boundary, names, spool: encryptedSpool() },
      ...(form === undefined ? {} : { form }),
      ...(frozen === undefined ? {} : { frozen }),
    });
    found[name] = { annotation: view.annotation, sha256: digest(await collect(view.octets.read())) };
    await view.discard();
  }
  const overlaid = await renderOverlay({
    ...{ original: bufferSource(clearSigned()), names, spool: encryptedSpool() },
    outcome: { kind: 'as-is', report: null, verdict: { kind: 'trusted' } },
    frozen: said?.overlaid?.annotation ?? null,
  });
  found.overlaid = { annotation: overlaid.annotation, sha256: digest(await collect(overlaid.octets.read())) };
  await overlaid.discard();
  return found;
}

function opened(
  entity: string,
  {
    header = null,
    verdict = { kind: 'unsigned' },
    authenticated = true,
  }: { header?: string | null; verdict?: ViewVerdict; authenticated?: boolean } = {},
): ViewOutcome {
  const algorithm = authenticated ? 'aes256-gcm' : 'aes256-cbc';
  return {
    kind: 'opened',
    entity: bufferSource(Buffer.from(entity, 'latin1')),
    header: header === null ? null : Buffer.from(header),
    report: { layers: [{ kind: 'encrypted', algorithm, authenticated, outcome: 'opened' }] },
    verdict,
  };
}

function stored(octets: number, extra: readonly string[] = []): Buffer {
  const header = [
    'Received: from a by b',
    'From: alice@example.org',
    'Subject: sealed',
    ...extra,
    'MIME-Version: 1.0',
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data',
    'Content-Transfer-Encoding: base64',
    '\r\n',
  ].join('\r\n');
  return Buffer.from(header + `${'QUJD'.repeat(16)}\r\n`.repeat(Math.ceil(octets / 66))).subarray(0, octets);
}

function clearSigned(): Buffer {
  const trace = `Received: from a by b;${'\r\n with a long story'.repeat(40)}\r\n`;
  return Buffer.from(`${trace}From: alice@example.org\r\nSubject: signed\r\n${SIGNED}`);
}

function digest(octets: Buffer): string {
  return createHash('sha256').update(octets).digest('hex');
}
