import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ImapFlow } from 'imapflow';
import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { ImapConversation, literalAfter } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

const LOGIN = 'bob@example.org';
const PASSWORD = 'a test';
const run = promisify(execFile);

function fields(subject: string): string[] {
  return [
    'From: Alice <alice@example.org>',
    `To: ${LOGIN}`,
    `Subject: ${subject}`,
    `Message-ID: <${subject}@example.org>`,
    'Date: Fri, 02 Jan 2026 03:04:05 +0000',
    'DKIM-Signature: v=1; d=example.org; b=abc',
  ];
}

const TEXT = 'Content-Type: text/plain; charset=utf-8\r\n\r\nThe secret is 42.\r\n';
const MIXED = [
  'Content-Type: multipart/mixed; boundary="in;ner"',
  '',
  'preamble',
  '--in;ner',
  'Content-Type: multipart/alternative; boundary=alt',
  '',
  '--alt',
  'Content-Type: text/plain; charset=utf-8; format=flowed',
  'Content-Transfer-Encoding: quoted-printable',
  '',
  'Gr=C3=BC=C3=9Fe',
  '--alt',
  'Content-Type: text/html',
  'Content-ID: <html@example.org>',
  'Content-Language: de, en',
  '',
  '<p>Gr&uuml;&szlig;e</p>',
  // The line end before a boundary belongs to the boundary; Dovecot counts it to an inner multipart's end all the same.
  '--alt--',
  '',
  '--in;ner',
  'Content-Type: application/pdf; name="a \\"b\\".pdf"',
  'Content-Transfer-Encoding: base64',
  'Content-Disposition: attachment; filename="a.pdf"; size=5',
  'Content-Description: a file',
  '',
  'UERGIQ==',
  '--in;ner',
  'Content-Type: message/rfc822',
  '',
  'From: "C. Arol" <carol@example.org>, dave@example.org',
  'To: undisclosed@example.org',
  'Subject: inside',
  'Date: Fri, 02 Jan 2026 03:04:05 +0000',
  'Message-ID: <inside@example.org>',
  'Content-Type: multipart/mixed; boundary=deep',
  '',
  '--deep',
  '',
  'deep text',
  'second line',
  '--deep',
  'Content-Type: image/png',
  'Content-Transfer-Encoding: base64',
  '',
  'QUJD',
  '--deep--',
  '',
  '--in;ner--',
  '',
].join('\r\n');

/** An encrypted message of exactly `size` octets. */
function sealedOfSize(size: number): Buffer {
  const grow = (octets: number, pad: string): Buffer =>
    toyEncrypted(
      [...fields(`size-${size}`), `X-Pad: ${pad}`],
      `Content-Type: text/plain\r\n\r\n${'0123456789abcdef0123456789abcdef\r\n'.repeat(Math.ceil(octets / 34)).slice(0, octets)}`,
    );
  let content = Math.floor((size - 1_200) * 0.72);
  while (grow(content, '').length > size) content -= 100;
  return grow(content, 'x'.repeat(size - grow(content, '').length));
}

const SIZES = [65_535, 65_536, 65_537, 131_072, 98_303, 98_304, 98_305, 200_000];
const MESSAGES: Buffer[] = [
  Buffer.from(
    `${fields('plain').join('\r\n')}\r\nContent-Type: text/plain\r\n\r\nx{12}\r\n* 1 EXPUNGE\r\nt1 OK\r\n`,
  ),
  toyEncrypted(fields('text'), TEXT),
  toyEncrypted(fields('mixed'), MIXED),
  toyEncrypted(fields('opaque'), TEXT, 'signed-data'),
  Buffer.from(
    `${fields('clear').join('\r\n')}\r\nContent-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n` +
      '--b\r\n\r\nsigned\r\n--b\r\nContent-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n--b--\r\n',
  ),
  ...SIZES.map(sealedOfSize),
];
const SEALED = [2, 3, 4, ...SIZES.map((_, index) => 6 + index)];

let dovecot: Dovecot;
let proxy: TestProxy;
let folder: string;

async function login(port: number): Promise<ImapConversation> {
  return await ImapConversation.login(port, LOGIN, `"${PASSWORD}"`);
}

async function append(client: ImapConversation, mailbox: string, octets: Buffer): Promise<void> {
  client.send(`a APPEND ${mailbox} {${octets.length}}\r\n`);
  await client.until(/\+[^\r\n]*\r\n/);
  client.send(octets);
  client.send('\r\n');
  await client.until(/a OK[^\r\n]*\r\n/);
}

async function mailHashes(): Promise<string[]> {
  const hashes: string[] = [];
  for (const part of ['cur', 'new']) {
    const place = join(dovecot.mailFolder(LOGIN), part);
    for (const file of await readdir(place)) {
      hashes.push(
        createHash('sha256')
          .update(await readFile(join(place, file)))
          .digest('hex'),
      );
    }
  }
  return hashes.sort();
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-imap-'));
  dovecot = await startDovecot({ users: [{ login: LOGIN, password: PASSWORD }] });
  proxy = await startTestProxy(dovecot.imapPort);
  const direct = await login(dovecot.imapPort);
  for (const octets of MESSAGES) await append(direct, 'INBOX', octets);
  direct.close();
});

afterAll(async () => {
  await proxy?.close();
  await dovecot?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('every sealed message is a view of its stored size; every other message is untouched', async () => {
  const [client, direct] = [await login(proxy.port), await login(dovecot.imapPort)];
  for (const each of [client, direct]) await each.command('EXAMINE INBOX');
  for (const [index, stored] of MESSAGES.entries()) {
    const command = `UID FETCH ${index + 1} (RFC822.SIZE BODY.PEEK[])`;
    const [view, original] = [await client.command(command), await direct.command(command)];
    const body = literalAfter(view, 'BODY[]');
    expect(body.length).toBe(stored.length);
    expect(view).toContain(`RFC822.SIZE ${stored.length}`);
    if (SEALED.includes(index + 1)) expect(body).toContain('X-Sealgate-7f3a9c2e-Status: v=1; view=opened');
    else expect(literalAfter(original, 'BODY[]')).toBe(body);
  }
  const mail = await simpleParser(literalAfter(await client.command('FETCH 3 BODY.PEEK[]'), 'BODY[]'));
  expect(mail.text?.trim()).toContain('Grüße');
  client.close();
  direct.close();
});

const ITEMS = [
  'BODYSTRUCTURE',
  'BODY',
  'BODY.PEEK[HEADER]',
  'RFC822.HEADER',
  'BODY.PEEK[TEXT]',
  'RFC822.TEXT',
  'BODY.PEEK[1]',
  'BODY.PEEK[1.MIME]',
  'BODY.PEEK[1.1]',
  'BODY.PEEK[1.1.1]',
  'BODY.PEEK[1.1.2.MIME]',
  'BODY.PEEK[1.2]<2.4>',
  'BODY.PEEK[1.3.HEADER]',
  'BODY.PEEK[1.3.HEADER.FIELDS (Subject)]',
  'BODY.PEEK[1.3.TEXT]',
  'BODY.PEEK[1.3.1]',
  'BODY.PEEK[1.3.2.MIME]',
  'BODY.PEEK[1.4]',
  'BODY.PEEK[2]',
  'BODY.PEEK[TEXT]<0.100>',
  'BODY.PEEK[]<100.50>',
  'BODY.PEEK[]<99999999.50>',
  'BODY.PEEK[HEADER]<10.20>',
  'BODY.PEEK[HEADER.FIELDS (Subject Content-Type MIME-Version)]',
  'BODY.PEEK[HEADER.FIELDS (Content-Type)]<0.20>',
  'BODY.PEEK[HEADER.FIELDS (DKIM-Signature Authentication-Results)]',
  'BODY.PEEK[HEADER.FIELDS.NOT (Subject Authentication-Results)]',
  'RFC822.SIZE',
  'ENVELOPE',
  'BINARY.PEEK[1.1.1]',
  'BINARY.PEEK[1.1.1]<3.4>',
  'BINARY.PEEK[1.2]',
  'BINARY.PEEK[1.2]<3.100>',
  'BINARY.PEEK[1.2]<500.100>',
  'BINARY.PEEK[1.9]',
  'BINARY.SIZE[1.1.1]',
  'BINARY.SIZE[1.2]',
  'BINARY.SIZE[1.9]',
];

test('RFC 9051 §6.4.5: every item of a view is what Dovecot says of the same octets, in any session', async () => {
  const client = await login(proxy.port);
  await client.command('EXAMINE INBOX');
  const view = Buffer.from(literalAfter(await client.command('UID FETCH 3 BODY.PEEK[]'), 'BODY[]'), 'latin1');
  const direct = await login(dovecot.imapPort);
  await direct.command('CREATE Oracle');
  await append(direct, 'Oracle', view);
  await direct.command('EXAMINE Oracle');
  for (const item of ITEMS) {
    // A session of its own: nothing is cached.
    const cold = await login(proxy.port);
    await cold.command('EXAMINE INBOX');
    const shown = comparable(await cold.command(`FETCH 3 (${item})`), 3);
    expect([item, shown]).toEqual([item, comparable(await direct.command(`FETCH 1 (${item})`), 1)]);
    expect(comparable(await client.command(`UID FETCH 3 (${item})`), 3).replace('UID 3 ', '')).toBe(shown);
    cold.close();
  }
  client.close();
  direct.close();
});

/** The FETCH response without its number; words in one case, and Dovecot's own naming of header lists. */
function comparable(response: string, msn: number): string {
  const at = response.indexOf(`* ${msn} FETCH (`);
  const text = response.slice(at, response.search(/\)\r\nc\d+ /));
  return text
    .slice(text.indexOf('('))
    .replace(/\((?:UID \d+ )?/, '(')
    .replace(/"[A-Za-z0-9./-]+"/g, (word) => word.toLowerCase());
}

test('\\Seen and FLAGS are exactly as without the gateway', async () => {
  const direct = await login(dovecot.imapPort);
  await direct.command('CREATE Seen');
  for (let i = 0; i < 4; i++) await append(direct, 'Seen', MESSAGES[1] ?? Buffer.alloc(0));
  const client = await login(proxy.port);
  await client.command('EXAMINE Seen');
  expect(await client.command('FETCH 1 (BODY[])')).not.toContain('\\Seen');
  await client.command('SELECT Seen');
  expect(await client.command('FETCH 1 (BODY[1])')).toContain('FLAGS (\\Seen');
  expect(await client.command('FETCH 2 (BODY.PEEK[1])')).not.toContain('\\Seen');
  expect(await client.command('FETCH 2 (RFC822)')).toContain('FLAGS (\\Seen');
  expect(await client.command('UID FETCH 3 (BODYSTRUCTURE)')).not.toContain('\\Seen');
  await direct.command('EXAMINE Seen');
  expect((await direct.command('SEARCH SEEN')).split('\r\n')[0]).toBe('* SEARCH 1 2');
  client.close();
  direct.close();
});

test('without keys encrypted mail is as stored, in listing and in body', async () => {
  const keyless = await startTestProxy(dovecot.imapPort, { hasKeys: () => false });
  const [client, direct] = [await login(keyless.port), await login(dovecot.imapPort)];
  for (const each of [client, direct]) await each.command('EXAMINE INBOX');
  for (const item of [
    'BODY.PEEK[]',
    'BODYSTRUCTURE',
    'BODY.PEEK[HEADER.FIELDS (Content-Type)]',
    'BODY.PEEK[1]',
  ]) {
    const command = `UID FETCH 2:3 (${item})`;
    const untimed = (text: string): string => text.replace(/ \([0-9.]+ \+ [^)]*\)/, '');
    expect(untimed(await client.command(command))).toBe(untimed(await direct.command(command)));
  }
  expect(await client.command('UID FETCH 4 (BODY.PEEK[])')).toContain('The secret is 42.');
  client.close();
  direct.close();
  await keyless.close();
});

test('a client that fetches in pieces, as Thunderbird does, finds every message whole', async () => {
  const child = spawn('python3', [
    join(import.meta.dirname, 'support', 'chunk-loop.py'),
    String(proxy.port),
    LOGIN,
  ]);
  child.stdin.end(`${PASSWORD}\n`);
  let output = '';
  let problems = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    problems += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect([code, problems]).toEqual([0, '']);
  const lines = output
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  expect(lines.length).toBe(MESSAGES.length);
  for (const [uid, size, total, pieces, whole] of lines) {
    expect([uid, size, pieces]).toEqual([uid, total, whole]);
  }
});

test('mbsync pulls decrypted mail; its second run changes nothing, and the originals stay what they are', async () => {
  const before = await mailHashes();
  const local = join(folder, 'local');
  await mkdir(local);
  const config = join(folder, 'mbsyncrc');
  const password = join(folder, 'password');
  await writeFile(password, PASSWORD, { mode: 0o600 });
  await writeFile(
    config,
    [
      'IMAPAccount proxy',
      'Host 127.0.0.1',
      `Port ${proxy.port}`,
      `User ${LOGIN}`,
      `PassCmd "cat ${password}"`,
      'SSLType None',
      'AuthMechs LOGIN',
      '',
      'IMAPStore far',
      'Account proxy',
      '',
      'MaildirStore near',
      `Path ${local}/`,
      `Inbox ${local}/INBOX`,
      'SubFolders Verbatim',
      '',
      'Channel all',
      'Far :far:',
      'Near :near:',
      'Create Near',
      'Sync Pull',
      `SyncState ${folder}/state-`,
      '',
    ].join('\n'),
  );
  const pull = (): Promise<unknown> => run('mbsync', ['-c', config, 'all']);
  const files = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const part of ['cur', 'new']) {
      for (const file of await readdir(join(local, 'INBOX', part))) {
        const octets = await readFile(join(local, 'INBOX', part, file));
        found.push(`${file} ${createHash('sha256').update(octets).digest('hex')}`);
      }
    }
    return found.sort();
  };
  await pull();
  const first = await files();
  expect(first.length).toBe(MESSAGES.length);
  await pull();
  expect(await files()).toEqual(first);
  expect(await mailHashes()).toEqual(before);
});

test('imapflow: listing, source, structure and download', async () => {
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: proxy.port,
    secure: false,
    doSTARTTLS: false,
    auth: { user: LOGIN, pass: PASSWORD },
    logger: false,
  });
  await client.connect();
  const lock = await client.getMailboxLock('INBOX', { readOnly: true });
  try {
    const subjects: string[] = [];
    for await (const message of client.fetch('1:*', {
      uid: true,
      envelope: true,
      size: true,
      bodyStructure: true,
      source: true,
    })) {
      subjects.push(message.envelope?.subject ?? '');
      expect(message.source?.length).toBe(message.size);
    }
    expect(subjects.length).toBe(MESSAGES.length);
    const mixed = await client.fetchOne('3', { bodyStructure: true }, { uid: true });
    expect(mixed === false ? null : mixed?.bodyStructure?.childNodes?.[0]?.childNodes?.length).toBe(3);
    const { content } = await client.download('3', '1.2', { uid: true });
    const chunks: Buffer[] = [];
    for await (const chunk of content ?? []) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('PDF!');
  } finally {
    lock.release();
    await client.logout();
  }
});
