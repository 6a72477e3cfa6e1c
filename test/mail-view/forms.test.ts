import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { readHeader } from '../../src/mail/header.ts';
import type { RenderPolicy, ViewForm } from '../../src/mail-view/render.ts';
import { viewBoundary, viewNames } from '../../src/mail-view/view-names.ts';
import type { ViewOutcome, ViewVerdict } from '../../src/mail-view/view-outcome.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { SecurityReport } from '../../src/smime/report.ts';
import { Town } from '../pipeline/support/people.ts';
import { rendered } from './support/rendered.ts';

/** The forms that a view can have, and what is done with content that nobody has authenticated. */

const names = viewNames('7f3a9c2e', 'gw.example.net');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 7 3');
const TRANSPARENT: ViewForm = { shell: 'transparent', padding: 'on' };
const TEXT = 'Content-Type: text/plain\r\n\r\nHello\r\n';
const MIXED =
  'Subject: inside\r\nContent-Type: multipart/mixed;\r\n boundary=b\r\nContent-Language: de\r\n\r\n--b\r\n\r\nHello\r\n--b--\r\n';

function report(authenticated = true): SecurityReport {
  const algorithm = authenticated ? 'aes256-gcm' : 'aes256-cbc';
  return { layers: [{ kind: 'encrypted', algorithm, authenticated, outcome: 'opened' }] };
}

function opened(
  entity: string,
  authenticated = true,
  verdict: ViewVerdict = { kind: 'unsigned' },
): ViewOutcome {
  return {
    kind: 'opened',
    entity: bufferSource(Buffer.from(entity, 'latin1')),
    report: report(authenticated),
    verdict,
  };
}

function stored(size: number): Buffer {
  const header =
    'From: alice@example.org\r\nSubject: sealed\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n';
  return Buffer.from(
    `${header}${`${'QUJD'.repeat(16)}\r\n`.repeat(Math.ceil(size / 66))}`.slice(0, size),
    'latin1',
  );
}

async function view(outcome: ViewOutcome, form: ViewForm, original = stored(8_000), policy?: RenderPolicy) {
  const request = { original, outcome, boundary, names, form, ...(policy === undefined ? {} : { policy }) };
  const made = await rendered(request);
  const again = await rendered({ original, outcome, boundary, names, frozen: made.annotation });
  expect(again.octets.equals(made.octets)).toBe(true);
  return { ...made, original, text: made.octets.toString('latin1') };
}

function typeOf(octets: Buffer): string {
  const { type, subtype } = readMessage(octets).root.mediaType;
  return `${type}/${subtype}`;
}

describe('the transparent shell', () => {
  it('is the multipart that was found, under the stored header, filled up in its epilogue', async () => {
    for (let size = 2_000; size < 2_100; size++) {
      const { octets, original, text, annotation } = await view(opened(MIXED), TRANSPARENT, stored(size));
      expect(octets.length).toBe(original.length);
      expect(text.endsWith('\r\n')).toBe(true);
      expect(annotation.transparent).toEqual([
        'MIME-Version: 1.0\r\n',
        'Content-Type: multipart/mixed;\r\n boundary=b\r\n',
        'Content-Language: de\r\n',
      ]);
    }
    const { octets } = await view(opened(MIXED), TRANSPARENT);
    const mail = await simpleParser(octets);
    expect([mail.subject, mail.text?.trim()]).toEqual(['sealed', 'Hello']);
    const fields = readHeader(octets, 0, octets.length).fields.map(({ name }) => name.toLowerCase());
    expect(fields.filter((name) => name === 'subject')).toHaveLength(1);
  });

  it.each([
    ['no multipart', opened(TEXT)],
    ['a multipart that is not closed', opened(MIXED.replace('--b--\r\n', ''))],
    [
      'a multipart whose type is said twice',
      opened(MIXED.replace('Content-Language: de', 'Content-Type: text/plain')),
    ],
    ['something to warn of', opened(MIXED, false)],
    ['a signer who is not trusted', opened(MIXED, true, { kind: 'untrusted', why: '' })],
  ])('is not taken for %s', async (_, outcome) => {
    const { octets, original, annotation, text } = await view(outcome, TRANSPARENT);
    expect(annotation.transparent).toBeNull();
    expect(octets.length).toBe(original.length);
    expect(text).toContain(`boundary="${boundary}"`);
  });

  it('is not taken for what could not be opened', async () => {
    for (const kind of ['failed', 'no-key'] as const) {
      const { annotation } = await view({ kind, report: report() }, TRANSPARENT);
      expect(annotation).toMatchObject({ kind, transparent: null });
    }
  });

  it('attack: our boundary in it makes it a failure here too', async () => {
    const { annotation, text } = await view(opened(MIXED.replace('Hello', `--${boundary}`)), TRANSPARENT);
    expect(annotation.kind).toBe('failed');
    expect(text).not.toContain('Hello');
  });

  describe('around a signature', () => {
    let town: Town;
    beforeAll(async () => {
      town = await Town.found();
    });
    afterAll(() => town?.end());

    it('lets a client with S/MIME verify it: OpenSSL does', async () => {
      const { files } = await town.person('alice@example.org', { keyType: 'rsa-2048' });
      const signer = ['-sign', '-signer', files.certificateFile, '-inkey', files.keyFile];
      const signed = (await town.made([], TEXT, ...signer)).toString('latin1').trimStart();
      const trusted = opened(signed, true, { kind: 'trusted' });
      const { octets, original } = await view(trusted, TRANSPARENT, stored(80_000));
      expect(typeOf(octets)).toBe('multipart/signed');
      expect(octets.length).toBe(original.length);
      expect(await town.verified(octets)).toContain('Hello');
      const wrapped = await view(trusted, { shell: 'wrapped', padding: 'on' }, stored(80_000));
      expect(typeOf(wrapped.octets)).toBe('multipart/mixed');
    });
  });
});

describe('without padding', () => {
  it.each(['wrapped', 'transparent'] as const)(
    'a view in the %s shell has the octets that it needs',
    async (shell) => {
      const small = await view(opened(MIXED), { shell, padding: 'off' }, stored(2_000));
      const large = await view(opened(MIXED), { shell, padding: 'off' }, stored(50_000));
      expect(small.octets.length).toBe(large.octets.length);
      expect(small.text).toMatch(/--\r\n$/);
      expect(small.text).not.toContain('These blanks');
      expect(small.overflow).toBe(false);
      expect((await simpleParser(small.octets)).text?.trim()).toBe('Hello');
    },
  );
});

describe('content that nobody has authenticated', () => {
  const HTML =
    'Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<img src=3Dhttp://evil.example>\r\n--b\r\nContent-Type: image/svg+xml\r\n\r\n<svg/>\r\n--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n';
  const policy = (unauthenticated: RenderPolicy['unauthenticated']): RenderPolicy => ({
    ...{ unauthenticated, protectedHeaders: 'promote' },
  });
  const form: ViewForm = { shell: 'wrapped', padding: 'on' };

  it('is shown with a warning', async () => {
    const { text } = await view(opened(HTML, false), form, stored(8_000), policy('warn'));
    expect(text).toContain('do not load remote content');
    expect(text).toContain('text/html');
  });

  it('is shown as text: what could call home is a file', async () => {
    const { octets, text, annotation } = await view(
      opened(HTML, false),
      form,
      stored(8_000),
      policy('text-only'),
    );
    expect(annotation).toMatchObject({ kind: 'opened', textOnly: true });
    expect(text).not.toMatch(/Content-Type: (?:text\/html|image\/svg)/);
    const mail = await simpleParser(octets);
    expect(mail.html).toBe(false);
    expect(mail.text).toContain('Hello');
    const files = mail.attachments.map(({ filename, contentType }) => [filename, contentType]);
    expect(files).toEqual([
      ['message.html.txt', 'text/plain'],
      ['part.bin', 'application/octet-stream'],
      [undefined, 'image/png'],
    ]);
    expect(mail.attachments[0]?.content.toString()).toContain('<img src=http://evil.example>');
  });

  it.each([
    'Content-Type: text/html\r\n\r\n<img src=http://evil.example>\r\n',
    'Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<img src=http://evil.example>\r\n',
    'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nPGltZz4=\r\n',
    'Content-Type: multipart/mixed\r\n\r\n<img src=http://evil.example>\r\n',
    'Content-Type: application/xhtml+xml\r\n\r\n<img src=http://evil.example>\r\n',
  ])('attack: whatever it says it is (%j)', async (entity) => {
    const { octets } = await view(opened(entity, false), form, stored(8_000), policy('text-only'));
    const mail = await simpleParser(octets);
    expect(mail.html).toBe(false);
    expect(mail.text).not.toContain('evil.example');
  });

  it('is not shown at all where it is to be refused, and the ciphertext stays within reach', async () => {
    const { text, annotation } = await view(opened(HTML, false), form, stored(8_000), policy('refuse'));
    expect(annotation.kind).toBe('refused');
    expect(text).toContain('smime=policy');
    expect(text).toContain('QUJDQUJD');
    expect(text).not.toMatch(/Hello|evil/);
  });

  it.each(['text-only', 'refuse'] as const)(
    '%s concerns no other mail, and none that was shown before',
    async (what) => {
      const authenticated = await view(opened(HTML), form, stored(8_000), policy(what));
      expect(authenticated.text).toContain('text/html');
      const signed = await view(opened(HTML, false, { kind: 'trusted' }), form, stored(8_000), policy(what));
      expect(signed.text).toContain('text/html');
      const before = await view(opened(HTML, false), form);
      const { octets } = await rendered({
        ...{ original: before.original, outcome: opened(HTML, false), boundary, names },
        ...{ policy: policy(what), frozen: before.annotation },
      });
      expect(octets.equals(before.octets)).toBe(true);
    },
  );
});

describe('protected header fields that are to be ignored', () => {
  const IGNORE: RenderPolicy = { unauthenticated: 'warn', protectedHeaders: 'ignore' };
  const inside = (from: string, fromMismatch: boolean): ViewOutcome => ({
    kind: 'opened',
    entity: bufferSource(Buffer.from(TEXT)),
    header: Buffer.from(`From: ${from}\r\nSubject: the boathouse\r\n`),
    verdict: { kind: 'trusted' },
    report: {
      ...report(),
      headerProtection: {
        ...{
          scheme: 'rfc9788',
          kind: 'cipher',
          signed: true,
          encrypted: true,
          shown: 'inside',
          shownFrom: 'inside',
        },
        fromMismatch,
        fields: [{ name: 'subject', inside: true, hidden: true, differs: false }],
      },
    },
  });

  it('leave those outside', async () => {
    const { text, annotation } = await view(
      inside('alice@example.org', false),
      TRANSPARENT,
      stored(8_000),
      IGNORE,
    );
    expect(annotation.header).toBeNull();
    expect(text).toContain('Subject: sealed');
    expect(text).not.toContain('boathouse');
  });

  it('attack: the sender who was verified is shown all the same, never the one outside', async () => {
    const { text } = await view(inside('mallory@example.org', true), TRANSPARENT, stored(8_000), IGNORE);
    expect(text.match(/^From: .*$/gm)).toEqual(['From: mallory@example.org']);
    expect(text).toContain('Subject: sealed');
    expect(text).not.toContain('boathouse');
  });
});
