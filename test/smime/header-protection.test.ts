import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encrypt } from '../../src/cms/encrypt.ts';
import { signOpaque } from '../../src/cms/sign.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import type { HeaderProtection } from '../../src/mail/header-protection.ts';
import { decideInbound } from '../../src/policy/decide-inbound.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import type { MessageOpening } from '../../src/smime/open.ts';
import { pkcs7Message } from '../../src/smime/pkcs7-part.ts';
import type { HeaderProtectionReport } from '../../src/smime/report.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, People, signaturesOf } from './support/people.ts';

/** RFC 9788 on whole messages: what leaves, what is read, and what attackers make of it. */

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

const HIDE: HeaderProtection = { kind: 'cipher', confidentiality: 'baseline' };
const OUTER = [
  'Date: Fri, 20 Nov 2026 10:11:12 +0100',
  'From: Alice <alice@example.org>',
  'To: bob@example.org',
  'Subject: the cellar door',
  'Message-ID: <1@example.org>',
];
const MESSAGE = crlf(`${OUTER.join('\n')}\nContent-Type: text/plain; charset=utf-8\n\nBring the lamp.\n`);

function text(octets: Buffer | null): string {
  return octets === null ? '' : octets.toString('latin1');
}

function header(lines: readonly string[]): string {
  return lines.map((line) => `${line}\r\n`).join('');
}

function protectionOf({ report }: MessageOpening): HeaderProtectionReport {
  if (report.headerProtection === undefined) throw new Error('no header field is protected');
  return report.headerProtection;
}

function named(opening: MessageOpening, what: 'hidden' | 'differs'): string[] {
  return protectionOf(opening)
    .fields.filter((each) => each[what])
    .map(({ name }) => name);
}

async function signed(
  by: string,
  form: 'clear' | 'opaque',
  headerProtection: HeaderProtection,
): Promise<Buffer> {
  return signMessage(MESSAGE, people.signer(by), { form, at: new Date(), headerProtection });
}

const toBob = () => [{ certificate: people.identity('bob').certificate }];

async function readByBob(octets: Buffer): Promise<MessageOpening> {
  return people.open(octets, [people.key('bob')]);
}

/** Any octets as the payload of an opaque signature. */
async function signedPayload(by: string, payload: string, outer: readonly string[]): Promise<Buffer> {
  const content = Buffer.from(payload, 'latin1');
  const cms = await signOpaque({
    signer: people.signer(by),
    content,
    signingTime: new Date(),
    capabilities: [],
  });
  return pkcs7Message(Buffer.from(header(outer), 'latin1'), 'signed-data', cms);
}

/** Any octets as the payload of an encryption to bob. */
async function encryptedPayload(payload: string | Buffer, outer: readonly string[]): Promise<Buffer> {
  const content = Buffer.from(payload as string, 'latin1');
  const cms = await encrypt({ content, recipients: toBob(), algorithm: 'aes256-gcm' });
  return pkcs7Message(Buffer.from(header(outer), 'latin1'), 'authEnveloped-data', cms);
}

/** A payload that claims protection for these fields. */
function claiming(kind: 'clear' | 'cipher', fields: readonly string[]): string {
  return `${header(fields)}Content-Type: text/plain; hp="${kind}"\r\n\r\nBring the lamp.\r\n`;
}

describe('what leaves', () => {
  it.each(['clear', 'opaque'] as const)(
    'signed (%s): OpenSSL finds the header in what it verifies',
    async (form) => {
      const octets = await signed('alice', form, { kind: 'clear' });
      const file = people.folder.path(`signed-${form}`);
      writeFileSync(file, octets);
      const authority = people.folder.authority.certificateFile;
      const content = people.openssl('cms', '-verify', '-in', file, '-CAfile', authority).toString();
      expect(content).toContain(OUTER.join('\r\n'));
      expect(content).toContain('charset=utf-8;\r\n hp="clear"');
      expect(octets.toString().startsWith(header(OUTER))).toBe(true);
    },
  );

  it.each([
    ['encrypted', null],
    ['signed and encrypted', 'clear'],
    ['signed and encrypted', 'opaque'],
  ] as const)('%s (%s): the Subject is inside only, where OpenSSL finds it', async (_, form) => {
    const octets =
      form === null
        ? await encryptMessage(MESSAGE, toBob(), 'aes256-cbc', { headerProtection: HIDE })
        : await encryptMessage(await signed('alice', form, HIDE), toBob(), 'aes256-cbc');
    expect(octets.toString()).not.toContain('cellar');
    expect(octets.toString().startsWith(header(OUTER).replace('the cellar door', '[...]'))).toBe(true);
    const file = people.folder.path(`encrypted-${form}`);
    writeFileSync(file, octets);
    const { keyFile, certificateFile } = people.identity('bob');
    const key = ['-recip', certificateFile, '-inkey', keyFile];
    let inside = people.openssl('cms', '-decrypt', '-binary', '-in', file, ...key);
    if (form !== null) {
      const signature = people.folder.path(`inside-${form}`);
      writeFileSync(signature, inside);
      const authority = people.folder.authority.certificateFile;
      inside = people.openssl('cms', '-verify', '-in', signature, '-CAfile', authority);
    }
    const [head = '', body] = inside
      .toString()
      .replace(/\r\n/g, '\n')
      .split(/\n\n(.*)/s);
    for (const line of OUTER) expect(head.split('\n')).toContain(line);
    expect(head).toContain('HP-Outer: Subject: [...]');
    expect(body).toBe('Subject: the cellar door\n\nBring the lamp.\n');
  });

  it('a mail that somebody has signed keeps its octets and its Subject inside another encryption', async () => {
    const theirs = await signed('alice', 'clear', { kind: 'clear' });
    const opening = await readByBob(await encryptMessage(theirs, toBob(), 'aes256-gcm'));
    expect(theirs.toString('latin1')).toContain(opening.entity.toString('latin1').slice(-500));
    expect(protectionOf(opening)).toMatchObject({ kind: 'clear', signed: true, encrypted: true });
    expect(named(opening, 'hidden')).toEqual([]);
  });
});

describe('what is read', () => {
  it.each([
    ['encrypted', null, 'aes256-gcm'],
    ['encrypted', null, 'aes256-cbc'],
    ['signed and encrypted', 'clear', 'aes256-gcm'],
    ['signed and encrypted', 'opaque', 'aes256-gcm'],
  ] as const)(
    '%s (%s, %s): the header as it was written, and the text without its repetition',
    async (_, form, algorithm) => {
      const octets =
        form === null
          ? await encryptMessage(MESSAGE, toBob(), algorithm, { headerProtection: HIDE })
          : await encryptMessage(await signed('alice', form, HIDE), toBob(), algorithm);
      const opening = await readByBob(octets);
      expect(opening.outcome).toBe('opened');
      expect(text(opening.header)).toBe(header(OUTER));
      const shown = readMessage(opening.entity);
      expect(shown.root.fields.map(({ name }) => name)).toEqual(['Content-Type']);
      expect(text(opening.entity.subarray(shown.root.body.start))).toBe('Bring the lamp.\r\n');
      expect(protectionOf(opening)).toMatchObject({
        scheme: 'rfc9788',
        kind: 'cipher',
        signed: form !== null,
        encrypted: true,
        shown: 'inside',
        fromMismatch: false,
      });
      expect(named(opening, 'hidden')).toEqual(['subject']);
      expect(named(opening, 'differs')).toEqual([]);
      expect(decideInbound(opening.report).kind).toBe(form === null ? 'unsigned' : 'trusted');
    },
  );

  it('a clear signature inside stays whole where nothing is hidden', async () => {
    const octets = await encryptMessage(
      await signed('alice', 'clear', { kind: 'cipher', confidentiality: 'none' }),
      toBob(),
      'aes256-gcm',
    );
    const opening = await readByBob(octets);
    expect(text(opening.entity)).toContain('Content-Type: multipart/signed');
    expect(text(opening.header)).toBe(header(OUTER));
  });

  it('clear-signed mail stays as it is; what its header says is compared with what was signed', async () => {
    const octets = await signed('alice', 'clear', { kind: 'clear' });
    const opening = await people.open(octets);
    expect([opening.outcome, opening.header]).toEqual(['as-is', null]);
    expect(protectionOf(opening)).toMatchObject({
      kind: 'clear',
      signed: true,
      encrypted: false,
      shown: 'outside',
    });
    expect(decideInbound(opening.report)).toEqual({ kind: 'trusted' });
    const changed = Buffer.from(
      text(octets).replace('Subject: the cellar', 'Subject: [list] the cellar'),
      'latin1',
    );
    const found = await people.open(changed);
    expect(named(found, 'differs')).toEqual(['subject']);
    expect(decideInbound(found.report)).toMatchObject({
      kind: 'untrusted',
      why: expect.stringContaining('(subject)'),
    });
  });

  it('the older form: a message in the message (RFC 8551 §3.1)', async () => {
    const wrapped = `Content-Type: message/rfc822; forwarded=no\r\n\r\n${MESSAGE.toString()}`;
    const outer = OUTER.map((line) => (line.startsWith('Subject') ? 'Subject: Encrypted mail' : line));
    const inside = await signedPayload('alice', wrapped, []);
    const opening = await readByBob(await encryptedPayload(inside, outer));
    expect(text(opening.header)).toBe(header(OUTER));
    expect(text(opening.entity)).toBe('Content-Type: text/plain; charset=utf-8\r\n\r\nBring the lamp.\r\n');
    expect(protectionOf(opening)).toMatchObject({ scheme: 'wrapped', kind: null, signed: true });
    expect(named(opening, 'hidden')).toEqual(['subject']);
    expect(named(opening, 'differs')).toEqual([]);
    expect(decideInbound(opening.report)).toEqual({ kind: 'trusted' });
  });

  it('a message that is only forwarded in an encrypted one is not taken for its header', async () => {
    const forward = `Content-Type: message/rfc822\r\n\r\n${MESSAGE.toString().replace('alice@', 'carol@')}`;
    const opening = await readByBob(await encryptedPayload(forward, OUTER));
    expect(opening.report.headerProtection).toBeUndefined();
    expect(text(opening.entity)).toContain('Content-Type: message/rfc822');
  });
});

describe('attacks', () => {
  const MALLORY = OUTER.map((line) => line.replace('Alice <alice@', 'Mallory <mallory@'));

  it('a claim that nothing protects is none', async () => {
    const bare = Buffer.from(
      `${header(OUTER)}${claiming('cipher', ['Subject: lies', 'From: boss@example.org'])}`,
    );
    const opening = await people.open(bare);
    expect([opening.outcome, opening.header, opening.report.headerProtection]).toEqual([
      'as-is',
      null,
      undefined,
    ]);
  });

  it('nor one under a signature that does not fit', async () => {
    const octets = await signedPayload('alice', claiming('clear', OUTER), OUTER);
    const cms = Buffer.from(text(octets).split('\r\n\r\n')[1] ?? '', 'base64');
    cms.write('the garden', cms.indexOf('the cellar'));
    const opening = await people.open(pkcs7Message(Buffer.from(header(OUTER)), 'signed-data', cms));
    expect(signaturesOf(opening)).toMatchObject([{ signature: 'bad' }]);
    expect([opening.outcome, opening.header, opening.report.headerProtection]).toEqual([
      'opened',
      null,
      undefined,
    ]);
    expect(decideInbound(opening.report).kind).toBe('broken');
  });

  it('nor one of a part, an attachment or a message in the payload', async () => {
    for (const inner of [
      claiming('cipher', ['Subject: lies']),
      `Content-Type: message/rfc822; forwarded=no\r\n\r\n${claiming('cipher', ['Subject: lies'])}`,
    ]) {
      const payload = `Subject: lies\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n${inner}\r\n--x--\r\n`;
      const opening = await readByBob(await encryptedPayload(payload, OUTER));
      expect([opening.outcome, opening.header]).toEqual(['opened', null]);
    }
  });

  it('somebody else outside than the signer inside: the signer is shown, and nobody is told to trust it', async () => {
    const octets = Buffer.from(
      text(await signed('alice', 'opaque', { kind: 'clear' })).replace(
        'From: Alice <alice@',
        'From: Boss <boss@',
      ),
      'latin1',
    );
    const opening = await people.open(octets);
    expect(protectionOf(opening)).toMatchObject({ fromMismatch: true, shownFrom: 'inside' });
    expect(text(opening.header)).toContain('From: Alice <alice@example.org>');
    expect(opening.from).toMatchObject({ kind: 'one', address: { address: 'alice@example.org' } });
    expect(signaturesOf(opening)).toMatchObject([{ speaksFor: 'from' }]);
    expect(decideInbound(opening.report)).toMatchObject({ kind: 'untrusted' });
  });

  it('somebody else inside than the signer outside: the signer stays, and nobody is told to trust it (RFC 9788 §4.4.3)', async () => {
    const opening = await people.open(await signedPayload('mallory', claiming('clear', OUTER), MALLORY));
    expect(protectionOf(opening)).toMatchObject({ fromMismatch: true, shownFrom: 'outside' });
    expect(text(opening.header)).not.toMatch(/^From/m);
    expect(opening.from).toMatchObject({ address: { address: 'mallory@example.org' } });
    expect(decideInbound(opening.report)).toMatchObject({ kind: 'untrusted' });
  });

  it('the same name inside and outside, and another signer, is no signature of the one it names', async () => {
    const opening = await people.open(await signedPayload('mallory', claiming('clear', OUTER), OUTER));
    expect(protectionOf(opening).fromMismatch).toBe(false);
    expect(signaturesOf(opening)).toMatchObject([{ signature: 'good', speaksFor: 'other' }]);
    expect(decideInbound(opening.report).kind).toBe('untrusted');
  });

  it("somebody's encrypted mail in another's envelope does not get that one's answers trusted", async () => {
    const theirs = await encryptMessage(MESSAGE, toBob(), 'aes256-gcm', { headerProtection: HIDE });
    const stolen = Buffer.from(
      text(theirs).replace('From: Alice <alice@', 'From: Mallory <mallory@'),
      'latin1',
    );
    const opening = await readByBob(stolen);
    expect(protectionOf(opening)).toMatchObject({ fromMismatch: true, shownFrom: 'outside', signed: false });
    expect(text(opening.header)).not.toMatch(/^From/m);
    const entity = text(stolen).slice(text(stolen).indexOf('MIME-Version'));
    const wrapped = await readByBob(await signedPayload('mallory', entity, MALLORY));
    expect(protectionOf(wrapped)).toMatchObject({ fromMismatch: true, shownFrom: 'outside', signed: true });
    expect(decideInbound(wrapped.report)).toMatchObject({ kind: 'untrusted' });
  });

  it('an HP-Outer that lies is a difference', async () => {
    const lies = [
      ...OUTER,
      'HP-Outer: Subject: [...]',
      ...OUTER.slice(0, 3).map((line) => `HP-Outer: ${line}`),
    ];
    const opening = await readByBob(await encryptedPayload(claiming('cipher', lies), OUTER));
    expect(named(opening, 'differs')).toEqual(['subject']);
    // What everybody could read is not called hidden.
    expect(named(opening, 'hidden')).toEqual([]);
    expect(text(opening.header)).not.toContain('HP-Outer');
  });

  it('two Subjects inside: the first is shown, as a difference', async () => {
    const doubled = [...OUTER, 'Subject: the garden door'];
    const opening = await readByBob(await encryptedPayload(claiming('clear', doubled), OUTER));
    expect(text(opening.header)).toBe(header(OUTER));
    expect(named(opening, 'differs')).toEqual(['subject']);
  });

  it('two authors inside, or one that clients read differently, are shown by nobody', async () => {
    for (const from of [
      'From: boss@example.org\r\nFrom: alice@example.org',
      'From: "boss@example.org"@x',
      'From : boss@example.org',
    ]) {
      const inside = OUTER.map((line) => (line.startsWith('From') ? from : line));
      const opening = await people.open(await signedPayload('alice', claiming('clear', inside), OUTER));
      expect(protectionOf(opening)).toMatchObject({ fromMismatch: true, shownFrom: 'outside' });
      expect(text(opening.header)).not.toMatch(/^From/m);
      expect(decideInbound(opening.report)).toMatchObject({ kind: 'untrusted' });
    }
  });

  it('what servers and gateways write is not shown from inside', async () => {
    const forged = [
      'Authentication-Results: x; smime=pass',
      'X-Sealgate-abcd-Status: v=1',
      'Received: by x',
      'List-Id: x',
    ];
    const opening = await readByBob(
      await encryptedPayload(claiming('clear', [...OUTER, ...forged, 'X-Spam: no']), OUTER),
    );
    expect(text(opening.header)).toBe(header(OUTER));
  });

  it('a header beyond what is read, and 8-bit lines, end nothing', async () => {
    const many = await encryptedPayload(claiming('cipher', Array<string>(3_000).fill('Subject: x')), OUTER);
    expect(text((await readByBob(many)).header)).toBe('Subject: x\r\n');
    const large = await encryptedPayload(claiming('cipher', Array<string>(30_000).fill('Subject: x')), OUTER);
    expect(await readByBob(large)).toMatchObject({ outcome: 'opened', header: null });
    const wide = await encryptedPayload(claiming('cipher', [...OUTER, 'Comments: \xff\xfe\r \0']), OUTER);
    expect(text((await readByBob(wide)).header)).toContain('Comments: \xff\xfe\r \0');
  });
});
