import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { clientProtection } from '../../src/pipeline/client-protection.ts';
import { outboundStory } from '../../src/pipeline/outbound.ts';
import { readOutgoing } from '../../src/pipeline/outgoing-message.ts';
import { MailRefused } from '../../src/pipeline/refusal.ts';
import type { Rule } from '../../src/policy/rules.ts';
import { type Person, Town } from './support/people.ts';
import {
  FakeDelivered,
  FakeDirectory,
  FakeKeyring,
  FakeLog,
  FakeUpstream,
  mail,
  rule,
  submission,
} from './support/ports.ts';

const [ALICE, BOB, CAROL] = ['alice@example.org', 'bob@example.org', 'carol@example.org'];
const HEADER = [`From: ${ALICE}`, `To: ${BOB}`, 'Subject: by the client'];
/** Eight bits, trailing blanks, `From ` at a line's begin: what the gateway would make safe if it signed itself. */
const ENTITY =
  'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9fe  \r\nFrom me\r\n';

let town: Town;
let alice: Person;
let bob: Person;
let signer: string[];
beforeAll(async () => {
  town = await Town.found();
  alice = await town.person(ALICE);
  bob = await town.person(BOB);
  signer = ['-signer', alice.files.certificateFile, '-inkey', alice.files.keyFile];
});
afterAll(() => town?.end());

let upstream: FakeUpstream;
let keyring: FakeKeyring;
let directory: FakeDirectory;
beforeEach(() => {
  upstream = new FakeUpstream();
  keyring = new FakeKeyring([alice]);
  directory = new FakeDirectory();
});

function send(octets: Buffer, changes: Partial<Rule> = {}, to: readonly string[] = [BOB]) {
  const story = outboundStory({
    ...{ keyring, directory, delivered: new FakeDelivered(), clock: () => new Date() },
    ...{ rules: [rule(changes)], log: new FakeLog() },
  });
  return story.submit(submission(ALICE, to, octets), upstream);
}

/** In memory, and where it lies. */
function bothWays(octets: Buffer) {
  return Promise.all([octets.length, -1].map((limit) => readOutgoing(bufferSource(octets), limit)));
}

const clear = () => town.made(HEADER, ENTITY, '-sign', '-binary', ...signer);
const opaque = () => town.made(HEADER, ENTITY, '-sign', '-binary', '-nodetach', ...signer);
const encrypted = () => town.made(HEADER, ENTITY, '-encrypt', '-aes-256-cbc', bob.files.certificateFile);

describe('a mail that the client has signed', () => {
  it.each([
    ['clear', clear],
    ['opaque', opaque],
  ])('%s, and the rule encrypts, keeps its signature good for OpenSSL', async (_, make) => {
    directory.knows(bob);
    expect((await send(await make(), { encrypt: 'require' })).kind).toBe('accepted');
    expect(upstream.taken[0]?.protection).toEqual({ signed: false, encrypted: true });
    const inside = Buffer.from(await town.decrypted(upstream.messageFor(BOB), bob), 'latin1');
    expect(await town.verified(inside)).toContain('Gr\xc3\xbc\xc3\x9fe  \r\nFrom me\r\n');
    expect(keyring.signatures).toBe(0);
  });

  it('leaves octet for octet where the rule does not encrypt, and no key of the gateway is used', async () => {
    const octets = await clear();
    await send(octets, { encrypt: 'never' });
    expect(upstream.messageFor(BOB).equals(octets)).toBe(true);
    expect(keyring.signatures).toBe(0);
  });

  it('goes encrypted to those who have a certificate and as it is to the others', async () => {
    directory.knows(bob);
    const octets = await clear();
    await send(octets, {}, [BOB, CAROL]);
    expect(upstream.messageFor(CAROL).equals(octets)).toBe(true);
    expect(upstream.messageFor(BOB).toString()).toContain('smime-type=enveloped-data');
  });

  it('does not leave where encryption is required and there is no certificate', async () => {
    expect((await send(await clear(), { encrypt: 'require' })).reply.code).toBe(550);
    expect(upstream.offered).toEqual([]);
  });

  it('is refused where the rule says so', async () => {
    expect((await send(await clear(), { alreadyProtected: 'refuse' })).reply.code).toBe(550);
  });
});

describe('a mail that the client has encrypted', () => {
  it('leaves octet for octet, even where encryption is required and no certificate is known', async () => {
    const octets = await encrypted();
    expect((await send(octets, { encrypt: 'require' })).kind).toBe('accepted');
    expect(upstream.messageFor(BOB).equals(octets)).toBe(true);
  });

  it('must still be from an address of the login', async () => {
    const forged = Buffer.from((await encrypted()).toString('latin1').replace(ALICE, CAROL), 'latin1');
    expect((await send(forged)).reply.code).toBe(550);
    expect(upstream.offered).toEqual([]);
  });
});

describe('a root that only says it is S/MIME', () => {
  const head = ['MIME-Version: 1.0', 'Content-Transfer-Encoding: base64'];
  const type = (value: string) => `Content-Type: ${value}`;
  const words = Buffer.from('the boathouse key').toString('base64');
  const signedOf = (...parts: string[]) =>
    parts
      .map((part) => `--b\r\n${part}\r\n`)
      .join('')
      .concat('--b--\r\n');
  const multipart = type(
    'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b',
  );

  it.each([
    ['enveloped-data of text', [type('application/pkcs7-mime; smime-type=enveloped-data'), ...head], words],
    ['signed-data of text', [type('application/pkcs7-mime; smime-type=signed-data'), ...head], words],
    ['no smime-type', [type('application/pkcs7-mime'), ...head], words],
    ['the old type', [type('application/x-pkcs7-mime; name=smime.p7m'), ...head], words],
    ['an empty body', [type('application/pkcs7-mime; smime-type=enveloped-data'), ...head], ''],
    ['a file that is called so', [type('application/octet-stream; name=smime.p7m'), ...head], words],
    ['multipart/signed without a signature', [multipart], signedOf('\r\ntext')],
    [
      'multipart/signed with text as signature',
      [multipart],
      signedOf('\r\ntext', 'Content-Type: text/plain\r\n\r\nx'),
    ],
    [
      'multipart/signed with an empty signature',
      [multipart],
      signedOf('\r\ntext', 'Content-Type: application/pkcs7-signature\r\n\r\n'),
    ],
    [
      'multipart/signed with text in the signature',
      [multipart],
      signedOf(
        '\r\ntext',
        `Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n${words}`,
      ),
    ],
  ])('is refused as 554 5.6.0, whatever the rules: %s', async (_, fields, body) => {
    directory.knows(bob);
    const { reply } = await send(mail([...HEADER, ...fields], body), { sign: 'never', encrypt: 'never' });
    expect(reply.code).toBe(554);
    expect(reply.lines[0]).toMatch(/^5\.6\.0 /);
    expect(upstream.offered).toEqual([]);
  });

  it('multipart/signed with a third part, which nothing covers, is refused', async () => {
    const text = (await clear()).toString('latin1');
    const boundary = /boundary="([^"]+)"/.exec(text)?.[1] ?? '';
    const more = text.replace(`--${boundary}--`, `--${boundary}\r\n\r\nnot signed\r\n--${boundary}--`);
    expect(more).not.toBe(text);
    expect((await send(Buffer.from(more, 'latin1'))).reply.code).toBe(554);
  });
});

describe('what protects nothing is taken for unprotected', () => {
  it.each([
    ['certificates only', 'application/pkcs7-mime; smime-type=certs-only'],
    ['compressed', 'application/pkcs7-mime; smime-type=compressed-data'],
    ['PGP', 'multipart/signed; protocol="application/pgp-signature"; boundary=b'],
    ['text', 'text/plain'],
  ])('%s', async (_, contentType) => {
    for (const message of await bothWays(mail([`Content-Type: ${contentType}`]))) {
      expect(await clientProtection(message)).toBe('none');
    }
  });

  it('a smime-type that lies downwards gets the gateway’s own protection on top', async () => {
    directory.knows(bob);
    const lie = Buffer.from(
      (await encrypted()).toString('latin1').replace('enveloped-data', 'certs-only'),
      'latin1',
    );
    await send(lie, { encrypt: 'require' });
    expect(keyring.signatures).toBe(1);
    expect(upstream.taken[0]?.protection).toEqual({ signed: true, encrypted: true });
  });

  it('a pretence is a MailRefused inside', async () => {
    const octets = mail(['Content-Type: application/pkcs7-mime; smime-type=signed-data']);
    for (const message of await bothWays(octets)) {
      await expect(clientProtection(message)).rejects.toThrow(MailRefused);
    }
  });
});
