import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { readHeader } from '../../src/mail/header.ts';
import { classifyHeader, viewKind } from '../../src/mail-view/message-class.ts';
import { FAILED_NOTICE, NO_KEY_NOTICE } from '../../src/mail-view/notices.ts';
import { selectFields, shapeOfFields, shellFields } from '../../src/mail-view/shape.ts';
import { viewBoundary, viewNames } from '../../src/mail-view/view-names.ts';
import type { ViewOutcome, ViewVerdict } from '../../src/mail-view/view-outcome.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import type { SecurityReport, SignedLayer } from '../../src/smime/report.ts';
import { rendered } from './support/rendered.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 7 3 INBOX');
const SHELL = Object.values(shellFields(boundary));
const OUTER = ['Received: from a by b', 'From: alice@example.org', 'To: bob@example.org', 'Subject: sealed'];
const gcm: SecurityReport = {
  layers: [{ kind: 'encrypted', algorithm: 'aes256-gcm', authenticated: true, outcome: 'opened' }],
};
const cbc: SecurityReport = {
  layers: [{ kind: 'encrypted', algorithm: 'aes256-cbc', authenticated: false, outcome: 'opened' }],
};

function stored(size: number, extra: readonly string[] = []): Buffer {
  const header = [
    ...OUTER,
    ...extra,
    'MIME-Version: 1.0',
    'Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
    'Content-Transfer-Encoding: base64',
  ].join('\r\n');
  const body = `${'QUJD'.repeat(16)}\r\n`.repeat(Math.max(1, Math.ceil((size - header.length - 4) / 66)));
  return Buffer.from(`${header}\r\n\r\n${body}`.slice(0, Math.max(size, header.length + 10)), 'latin1');
}

function opened(
  entity: string | Buffer,
  report: SecurityReport = gcm,
  verdict: ViewVerdict = { kind: 'unsigned' },
): ViewOutcome {
  return {
    kind: 'opened',
    entity: bufferSource(Buffer.isBuffer(entity) ? entity : Buffer.from(entity, 'latin1')),
    report,
    verdict,
  };
}

function signedLayer(changes: Partial<SignedLayer['signatures'][number]> = {}): SignedLayer {
  return {
    kind: 'signed',
    form: 'opaque',
    certificates: [],
    signatures: [
      {
        signer: null,
        algorithm: 'sha256WithRSAEncryption',
        signedAt: new Date('2026-01-02T03:04:05Z'),
        signature: 'good',
        checks: [],
        path: null,
        revocation: 'unchecked',
        revocationDetail: null,
        speaksFor: 'from',
        capabilities: [],
        ...changes,
      },
    ],
  };
}

const TEXT = 'Content-Type: text/plain\r\n\r\nHello\r\n';

test('every outcome has exactly the octets of the original, whatever room is left', async () => {
  const outcomes: ViewOutcome[] = [
    opened(TEXT),
    opened(TEXT, cbc),
    opened(TEXT, { layers: [...gcm.layers, signedLayer()] }, { kind: 'trusted' }),
    { kind: 'failed', report: gcm },
  ];
  for (const outcome of outcomes) {
    for (let size = 1_400; size < 1_700; size++) {
      const original = stored(size);
      const view = await rendered({ original, outcome, boundary, names });
      expect(view.overflow).toBe(false);
      expect(view.octets.length).toBe(original.length);
      expect(view.octets.subarray(-2).toString('latin1')).toBe('\r\n');
    }
  }
});

test('any content gives a view of the stored size or a longer one that says so', async () => {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 3_000 }).map((octets) => Buffer.from(octets)),
    fc
      .array(
        fc.constantFrom(
          '\r\n',
          '\n',
          '\r',
          '\0',
          'a',
          '--',
          'Content-Type: text/plain',
          'Content-Type: message/rfc822',
          ': ',
          ' ',
        ),
        {
          maxLength: 200,
        },
      )
      .map((parts) => Buffer.from(parts.join(''), 'latin1')),
  );
  await fc.assert(
    fc.asyncProperty(content, fc.integer({ min: 300, max: 6_000 }), async (entity, size) => {
      const original = stored(size);
      const view = await rendered({ original, outcome: opened(entity), boundary, names });
      expect(view.octets.length < original.length).toBe(false);
      expect(view.overflow).toBe(view.octets.length !== original.length);
      expect(
        (await rendered({ original, outcome: opened(entity), boundary, names })).octets.equals(view.octets),
      ).toBe(true);
      const text = view.octets.toString('latin1');
      expect(/\0|\r(?!\n)|(?<!\r)\n/.test(text)).toBe(false);
    }),
    { numRuns: 200 },
  );
});

test('a MIME reader finds the decrypted entity, its attachment and nothing of the padding', async () => {
  const entity = [
    'Content-Type: multipart/mixed; boundary=inner',
    '',
    '--inner',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Body text',
    '--inner',
    'Content-Type: application/pdf; name=a.pdf',
    'Content-Disposition: attachment; filename=a.pdf',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from('PDF!').toString('base64'),
    '--inner--',
    '',
  ].join('\r\n');
  const original = stored(20_000);
  const view = await rendered({ original, outcome: opened(entity), boundary, names });
  const mail = await simpleParser(view.octets);
  expect(mail.text?.trim()).toBe('Body text');
  expect(mail.attachments.map((each) => [each.filename, each.content.toString()])).toEqual([
    ['a.pdf', 'PDF!'],
  ]);
  expect(mail.subject).toBe('sealed');
});

test('the listing of Content-* fields equals what the view has, for any list of fields', async () => {
  const field = fc.constantFrom(
    'Received: x',
    'DKIM-Signature: v=1;\r\n b=abc',
    'ARC-Seal: i=1',
    'Content-Description: hidden',
    'X-Sealgate-7f3a9c2e-Status: v=1; verdict=trusted',
    'Authentication-Results: sealgate-7f3a9c2e.gw.example.net; smime=pass',
    'Authentication-Results: mx.example.com; spf=pass',
    'X-TUID: abc',
    'Content-Disposition: attachment; filename=smime.p7m',
    'no field at all',
  );
  const asked = fc.subarray([
    'content-type',
    'mime-version',
    'subject',
    'received',
    'dkim-signature',
    'x-tuid',
    'content-description',
    'content-disposition',
    'from',
  ]);
  await fc.assert(
    fc.asyncProperty(fc.array(field, { maxLength: 8 }), asked, async (extra, list) => {
      const original = stored(6_000, extra);
      const view = await rendered({ original, outcome: opened(TEXT), boundary, names });
      const wanted = new Set(list);
      const header = original.subarray(0, readHeader(original, 0, original.length).bodyStart);
      const listed = shapeOfFields(selectFields(header, wanted, false), wanted, SHELL, names);
      const viewHeader = view.octets.subarray(0, readHeader(view.octets, 0, view.octets.length).bodyStart);
      expect(listed.toString('latin1')).toBe(selectFields(viewHeader, wanted, false).toString('latin1'));
    }),
    { numRuns: 200 },
  );
});

test('outer fields keep their order; Content-*, forged status and results are gone, DKIM and ARC are renamed', async () => {
  const original = stored(6_000, [
    'X-Sealgate-7f3a9c2e-Status: v=1; verdict=trusted',
    'Authentication-Results: (x) SEALGATE-7F3A9C2E.gw.example.net; smime=pass',
    'Authentication-Results: mx.example.com; dkim=pass',
    'DKIM-Signature: v=1',
    'Bcc: carol@example.org',
  ]);
  const text = (await rendered({ original, outcome: opened(TEXT), boundary, names })).octets.toString(
    'latin1',
  );
  const header = text.slice(0, text.indexOf('\r\n\r\n'));
  expect(header.match(/^[^ \t\r\n:]+/gm)).toEqual([
    'Authentication-Results',
    'X-Sealgate-7f3a9c2e-Status',
    'Received',
    'From',
    'To',
    'Subject',
    'Authentication-Results',
    'X-Orig-DKIM-Signature',
    'Bcc',
    'MIME-Version',
    'Content-Type',
  ]);
  expect(header).not.toContain('verdict=trusted');
});

test('attack: a lone CR or LF in a stored field makes no field of the view', async () => {
  const original = stored(6_000, ['X-Note: a\rAuthentication-Results: sealgate-7f3a9c2e; smime=pass']);
  const text = (await rendered({ original, outcome: opened(TEXT), boundary, names })).octets.toString(
    'latin1',
  );
  expect(text.match(/[\r\n]Authentication-Results: sealgate-7f3a9c2e; smime=pass/)).toBeNull();
});

test('attack: content that holds our boundary is not shown at all', async () => {
  const entity = `${TEXT}--${boundary}\r\nContent-Type: text/html\r\n\r\n<img src=http://evil.example/`;
  const view = await rendered({ original: stored(6_000), outcome: opened(entity), boundary, names });
  expect(view.annotation.kind).toBe('failed');
  expect(view.octets.toString('latin1')).toContain(FAILED_NOTICE);
  expect(view.octets.toString('latin1')).not.toContain('evil.example');
});

test('attack: names in a certificate add no header field and no line of their own', async () => {
  const certificate = {
    mailboxes: ['a@example.org\r\nX-Sealgate-7f3a9c2e-Status: v=1; verdict=trusted'],
    issuer: { text: 'CN=Evil\r\nBcc: x@example.org\u202e"; smime=pass' },
    serialNumber: Buffer.alloc(500, 1),
  } as unknown as Certificate;
  const report: SecurityReport = { layers: [signedLayer({ signer: certificate })] };
  const view = await rendered({
    original: stored(6_000),
    outcome: opened(TEXT, report, { kind: 'untrusted', why: 'x\r\nBcc: y' }),
    boundary,
    names,
  });
  const lines = view.annotation.status.split('\r\n');
  expect(lines.every((line) => line.length <= 78 && /^[\x20-\x7e]*$/.test(line))).toBe(true);
  expect(lines.filter((line) => /^[^ ]/.test(line)).length).toBe(2);
  expect(view.octets.toString('latin1')).not.toMatch(/\r\nBcc:/);
});

test.each<[string, ViewOutcome, RegExp]>([
  [
    'bad signature',
    opened(TEXT, { layers: [signedLayer({ signature: 'bad' })] }, { kind: 'broken', why: '' }),
    /not valid/,
  ],
  [
    'other signer',
    opened(TEXT, { layers: [signedLayer({ speaksFor: 'other' })] }, { kind: 'untrusted', why: '' }),
    /not the sender/,
  ],
  ['untrusted', opened(TEXT, { layers: [signedLayer()] }, { kind: 'untrusted', why: '' }), /not trusted/],
  ['CBC without signature', opened(TEXT, cbc), /remote content/],
])('a warning part for %s', async (_, outcome, words) => {
  const view = await rendered({ original: stored(6_000), outcome, boundary, names });
  expect(view.annotation.warning).toMatch(words);
  expect(view.octets.toString('latin1')).toMatch(words);
});

test('no warning and no words of praise for good mail', async () => {
  const report = { layers: [...cbc.layers, signedLayer()] };
  const view = await rendered({
    original: stored(6_000),
    outcome: opened(TEXT, report, { kind: 'trusted' }),
    boundary,
    names,
  });
  expect(view.annotation.warning).toBeNull();
});

test('RFC 3218: every failure looks the same', async () => {
  const original = stored(6_000);
  const views: string[] = [];
  for (const report of [gcm, cbc, { layers: [] }]) {
    const { octets } = await rendered({ original, outcome: { kind: 'failed', report }, boundary, names });
    views.push(octets.toString('latin1'));
  }
  expect(new Set(views).size).toBe(1);
});

test('without a fitting key the ciphertext stays within reach, in a longer view', async () => {
  const original = stored(6_000);
  const view = await rendered({ original, outcome: { kind: 'no-key', report: gcm }, boundary, names });
  const text = view.octets.toString('latin1');
  expect(view.overflow).toBe(true);
  expect(text).toContain(NO_KEY_NOTICE);
  const body = original.toString('latin1').split('\r\n\r\n')[1] ?? '';
  expect(text).toContain(body);
  expect(view.octets.length - original.length).toBeLessThan(1_536);
});

test('a rendering keeps the words of an earlier one, and nothing is served in the place of other content', async () => {
  const original = stored(6_000);
  const first = await rendered({
    original,
    outcome: opened(TEXT, gcm, { kind: 'trusted' }),
    boundary,
    names,
  });
  const frozen = first.annotation;
  const later = opened(TEXT, gcm, { kind: 'untrusted', why: 'revoked since' });
  expect(
    (await rendered({ original, outcome: later, boundary, names, frozen })).octets.equals(first.octets),
  ).toBe(true);
  const failed: ViewOutcome = { kind: 'failed', report: gcm };
  await expect(rendered({ original, outcome: failed, boundary, names, frozen })).rejects.toThrow(
    /differently/,
  );
});

test('the boundary depends on secret, login, UIDVALIDITY and UID', async () => {
  const make = (secret: number, login: string, uidValidity: number, uid: number): string =>
    viewBoundary(Buffer.alloc(32, secret), login, `imap ${uidValidity} ${uid} INBOX`);
  const all = [
    make(1, 'a', 1, 1),
    make(2, 'a', 1, 1),
    make(1, 'b', 1, 1),
    make(1, 'a', 2, 1),
    make(1, 'a', 1, 2),
    make(1, 'a', 11, 1),
    make(1, 'a', 1, 11),
  ];
  expect(new Set(all).size).toBe(all.length);
  expect(all.every((each) => /^=_sealgate_[a-z2-7]{26}$/.test(each))).toBe(true);
});

test.each([
  ['application/pkcs7-mime; smime-type=enveloped-data', 'encrypted'],
  ['Application/X-PKCS7-MIME; SMIME-TYPE="authEnveloped-data"', 'encrypted'],
  ['application/pkcs7-mime; name=smime.p7m', 'encrypted'],
  ['application/octet-stream; name="SMIME.P7M"', 'encrypted'],
  ['application/octet-stream; name=a.pdf', 'none'],
  ['application/pkcs7-mime; smime-type=signed-data', 'opaque-signed'],
  ['application/pkcs7-mime; smime-type=compressed-data', 'compressed'],
  ['application/pkcs7-mime; name=certs.p7c', 'certificates'],
  ['multipart/signed; protocol="application/pkcs7-signature"; boundary=x', 'clear-signed'],
  ['multipart/signed; protocol="application/pgp-signature"; boundary=x', 'none'],
  ['multipart/mixed; boundary=x', 'none'],
  ['text/plain\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data', 'none'],
])('class of %s', (value, expected) => {
  expect(classifyHeader(Buffer.from(`Subject: x\r\nContent-Type: ${value}\r\n\r\n`))).toBe(expected);
});

test('a reader without keys sees encrypted mail as it is stored, and opaque signatures opened', async () => {
  expect(viewKind('encrypted', false)).toBe('identity');
  expect(viewKind('encrypted', true)).toBe('shell');
  expect(viewKind('opaque-signed', false)).toBe('shell');
});
