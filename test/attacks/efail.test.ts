import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { literalAfter } from '../imap-proxy/support/imap-conversation.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { plant, type Shown, shownOf, through } from './support/mailbox.ts';
import { cmsOf, crlf, encrypted, mailOf, signed, textEntity, withCms } from './support/openssl-mail.ts';

/**
 * EFAIL (USENIX Security 2018) against the whole gateway: somebody who holds one of bob's encrypted mails, and can put
 * what he likes into bob's mailbox, gets no plaintext into a frame of his own, and nothing changed passes for sound.
 */

let system: MailSystem;
const SECRET = 'The boathouse key is under the third stone.';
const BOB = addressOf('bob');
const HEADER = [`From: ${addressOf('alice')}`, `To: ${BOB}`, 'Subject: s'];
const FROM_MALLORY = [`From: ${addressOf('mallory')}`, `To: ${BOB}`, 'Subject: look'];

/** Captured on the way: CBC and GCM, without and with a signature inside. */
let cbc: Buffer;
let gcm: Buffer;
let cbcSigned: Buffer;

beforeAll(async () => {
  system = await startMailSystem({ users: ['alice', 'bob', 'mallory'] });
  const bob = [system.user('bob').identity];
  const entity = textEntity(`${SECRET}\n${'Nothing else matters here, honestly. '.repeat(20)}`);
  cbc = await encrypted(entity, bob);
  // OpenSSL's name of the cipher; it writes AuthEnvelopedData for it.
  gcm = await encrypted(entity, bob, { cipher: 'aes-256-gcm' });
  cbcSigned = await encrypted(await signed(entity, system.user('alice').identity), bob);
});
afterAll(() => system?.stop());

it('opens the captured mails themselves', async () => {
  for (const entity of [cbc, gcm, cbcSigned]) {
    const { octets } = await shownOf(system, 'bob', mailOf(HEADER, entity));
    expect(octets).toContain(SECRET);
  }
});

it('warns of unsigned mail in a cipher that does not notice changes, and only of that', async () => {
  const warning = 'by a method that does not notice';
  expect((await shownOf(system, 'bob', mailOf(HEADER, cbc))).octets).toContain(warning);
  expect((await shownOf(system, 'bob', mailOf(HEADER, gcm))).octets).not.toContain(warning);
  expect((await shownOf(system, 'bob', mailOf(HEADER, cbcSigned))).octets).not.toContain(warning);
});

describe('a sandwich around the ciphertext', () => {
  const before = 'Content-Type: text/html\n\n<img src="http://evil.example/';
  const after = 'Content-Type: text/html\n\n">';
  const around = (type: string, parts: readonly string[]): Buffer =>
    crlf(`Content-Type: ${type}; boundary="B"\n\n${parts.map((part) => `--B\n${part}\n`).join('')}--B--\n`);
  /** Everything a client can ask of one message. */
  const ITEMS = [
    'BODY.PEEK[]',
    'BODY.PEEK[]<100.200>',
    'BODY.PEEK[TEXT]',
    'BODY.PEEK[1]',
    'BODY.PEEK[2]',
    'BODY.PEEK[2]<10.300>',
    'BODY.PEEK[2.1]',
    'BODY.PEEK[2.TEXT]',
    'BODY.PEEK[1.1]',
    'BODY.PEEK[2.MIME]',
    'RFC822',
    'RFC822.TEXT',
    'BODYSTRUCTURE',
  ];

  it.each([
    'multipart/mixed',
    'multipart/related',
    'multipart/alternative',
    'multipart/digest',
    'multipart/signed; protocol="application/pkcs7-signature"',
    'multipart/encrypted; protocol="application/pkcs7-mime"',
    'multipart/x-unknown',
    'message/rfc822',
  ])('is never opened in %s, whatever is asked', async (type) => {
    const inner = cbc.toString('latin1');
    const uids: number[] = [];
    for (const parts of [[before, inner, after], [inner], [inner, after], [before, inner]]) {
      uids.push(await plant(system, 'bob', mailOf(FROM_MALLORY, around(type, parts))));
    }
    const forwarded = crlf(`Content-Type: ${type}\n\n${HEADER.join('\n')}\n${inner}`);
    uids.push(await plant(system, 'bob', mailOf(FROM_MALLORY, forwarded)));
    const client = await through(system, 'bob');
    await client.command('EXAMINE INBOX');
    for (const uid of uids) {
      for (const item of ITEMS) {
        const reply = await client.command(`UID FETCH ${uid} (${item})`);
        expect(reply).not.toContain('boathouse');
        expect(reply).not.toContain('third stone');
      }
    }
    client.close();
  });

  it('is not opened inside a mail that mallory encrypted to bob himself', async () => {
    const sandwich = around('multipart/mixed', [before, cbc.toString('latin1'), after]);
    const outer = await encrypted(sandwich, [system.user('bob').identity]);
    const { octets } = await shownOf(system, 'bob', mailOf(FROM_MALLORY, outer));
    expect(octets).toContain('evil.example');
    expect(octets).not.toContain('boathouse');
  });

  it('is not opened as two types at once', async () => {
    for (const types of [
      ['Content-Type: multipart/mixed; boundary=B', 'Content-Type: application/pkcs7-mime'],
      ['Content-Type : multipart/mixed; boundary=B', 'Content-Type: application/pkcs7-mime; name=smime.p7m'],
    ]) {
      const parts = [before, cbc.toString('latin1'), after].map((part) => `--B\n${part}\n`).join('');
      const entity = crlf(`${types.join('\n')}\n\n${parts}--B--\n`);
      const { octets } = await shownOf(system, 'bob', mailOf(FROM_MALLORY, entity));
      expect(octets).not.toContain('boathouse');
    }
  });
});

describe('partial fetches of an encrypted mail', () => {
  it('give slices of the view, never of ciphertext and plaintext mixed, in every order', async () => {
    const uid = await plant(system, 'bob', mailOf(HEADER, cbcSigned));
    const client = await through(system, 'bob');
    await client.command('EXAMINE INBOX');
    const whole = literalAfter(await client.command(`UID FETCH ${uid} (BODY.PEEK[])`), 'BODY[]');
    const offsets = [0, 1, 777, whole.length - 10, 333].flatMap((at) => [at, at + 13]);
    for (const at of offsets) {
      const cold = await through(system, 'bob');
      await cold.command('EXAMINE INBOX');
      const reply = await cold.command(`UID FETCH ${uid} (BODY.PEEK[]<${at}.64>)`);
      const wanted = whole.slice(at, at + 64);
      if (wanted === '') expect(reply).toMatch(/BODY\[\]<[0-9]+> (?:""|\{0\})/);
      else expect(literalAfter(reply, `BODY[]<${at}>`)).toBe(wanted);
      cold.close();
    }
    client.close();
  });
});

describe('changed ciphertext', () => {
  /** How a view stands to its content: nothing shown, or shown with a warning. */
  function expectNoSilentChange({ octets, status, result }: Shown): void {
    expect(result).not.toBe('pass');
    if (octets.includes('Sealgate could not open this message')) {
      expect(octets).not.toMatch(/boathouse|third stone|honestly/);
      expect(status).toContain('view=failed');
      return;
    }
    if (status?.includes('view=no-key') === true) {
      expect(octets).not.toMatch(/boathouse|third stone|honestly/);
      return;
    }
    // Content came out: only a cipher without authentication lets that happen, and the view says so.
    expect(octets).toContain('Sealgate warning');
    expect(status).toContain('aead=no');
  }

  /** One octet of every tenth of the CMS, another bit each. */
  function flipped(entity: Buffer): Buffer[] {
    const cms = cmsOf(entity);
    return Array.from({ length: 12 }, (_, i) => {
      const changed = Buffer.from(cms);
      const at = Math.min(cms.length - 1, Math.floor((cms.length * i) / 12) + 3);
      changed[at] = (changed[at] ?? 0) ^ (1 << (i % 8));
      return withCms(entity, changed);
    });
  }

  it('CBC: no bit flip passes without a warning', async () => {
    for (const entity of flipped(cbc)) {
      expectNoSilentChange(await shownOf(system, 'bob', mailOf(HEADER, entity)));
    }
  });

  it('CBC: a gadget in the first block is shown with the warning only', async () => {
    const cms = cmsOf(cbc);
    // The IV is the OCTET STRING of 16 in the cipher's AlgorithmIdentifier: XOR turns known plaintext into anything.
    const oid = Buffer.from('60864801650304012a', 'hex');
    const iv = cms.indexOf(oid) + oid.length + 2;
    expect(cms.subarray(iv - 2, iv).toString('hex')).toBe('0410');
    const known = Buffer.from('Content-Type: te', 'latin1');
    const wanted = Buffer.from('X-Evil: 1\r\n\r\n<b>', 'latin1');
    for (let i = 0; i < 16; i++) cms[iv + i] = (cms[iv + i] ?? 0) ^ (known[i] ?? 0) ^ (wanted[i] ?? 0);
    const shown = await shownOf(system, 'bob', mailOf(HEADER, withCms(cbc, cms)));
    // The control that this is the real attack: the text did change.
    expect(shown.octets).toContain('X-Evil: 1');
    expect(shown.octets).toContain('Sealgate warning');
    expect(shown.result).toBe('none');
  });

  it('CBC with a signature inside: a change breaks the signature', async () => {
    for (const entity of flipped(cbcSigned)) {
      const { octets, result } = await shownOf(system, 'bob', mailOf(HEADER, entity));
      expect(result).not.toBe('pass');
      expect(/Sealgate could not open|Sealgate warning/.test(octets)).toBe(true);
    }
  });

  it('GCM: no changed octet gives any plaintext', async () => {
    const opened = (await shownOf(system, 'bob', mailOf(HEADER, gcm))).octets;
    expect(opened).toContain('aead=yes');
    for (const entity of flipped(gcm)) {
      const { octets } = await shownOf(system, 'bob', mailOf(HEADER, entity));
      expect(octets).not.toMatch(/boathouse|third stone|honestly/);
    }
  });

  it('GCM: cut at every tenth, gives nothing', async () => {
    const cms = cmsOf(gcm);
    for (let i = 1; i < 10; i++) {
      const cut = cms.subarray(0, Math.floor((cms.length * i) / 10));
      const { octets, size } = await shownOf(system, 'bob', mailOf(HEADER, withCms(gcm, cut)));
      expect(octets).not.toMatch(/boathouse|third stone|honestly/);
      // The notice is longer than the shortest of them; more than was announced is what clients do not mind.
      expect(octets.length).toBeGreaterThanOrEqual(size);
    }
  });

  it('GCM: a tag cut to four octets is refused', async () => {
    const cms = cmsOf(gcm);
    // The MAC is the last OCTET STRING of 16 (RFC 5083 §2.1); the lengths around it are of two octets or more.
    expect(cms.subarray(-18, -16).toString('hex')).toBe('0410');
    const cut = Buffer.concat([cms.subarray(0, -18), Buffer.from('0404', 'hex'), cms.subarray(-16, -12)]);
    for (const at of outerLengths(cut)) cut.writeUInt16BE(cut.readUInt16BE(at) - 12, at);
    const { octets } = await shownOf(system, 'bob', mailOf(HEADER, withCms(gcm, cut)));
    expect(octets).toContain('Sealgate could not open this message');
    expect(octets).not.toMatch(/boathouse|third stone|honestly/);
  });

  it('every failure has the same text: nothing tells padding from key from tag', async () => {
    const texts = new Set<string>();
    for (const entity of [...flipped(cbc), ...flipped(gcm)]) {
      const { octets } = await shownOf(system, 'bob', mailOf(HEADER, entity));
      if (!octets.includes('could not open')) continue;
      // The boundary is another for each UID, and the blanks fill what the original had.
      texts.add(
        octets
          .replace(/=_sealgate_[a-z2-7]{26}/g, 'B')
          .replace(/ {2,}\r\n/g, '')
          .trimEnd(),
      );
    }
    expect(texts.size).toBe(1);
  });
});

/** Where the two-octet lengths of ContentInfo, its content and AuthEnvelopedData stand. */
function outerLengths(cms: Buffer): number[] {
  const found: number[] = [];
  let at = 0;
  // SEQUENCE, OBJECT IDENTIFIER, [0], SEQUENCE
  for (const step of ['sequence', 'oid', 'explicit', 'sequence']) {
    if (step === 'oid') at += 2 + (cms[at + 1] ?? 0);
    else {
      expect(cms[at + 1]).toBe(0x82);
      found.push(at + 2);
      at += 4;
    }
  }
  return found;
}
