import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { decodeBody, encodeBase64 } from '../../src/mail/transfer-encoding.ts';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  startMailSystem,
} from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import type { Gpgsm } from '../support/services/gpgsm.ts';
import type { Nss } from '../support/services/nss.ts';
import { services } from '../support/services/services.ts';

/** What the gateway sends is read by OpenSSL, GnuPG and NSS; what they make is read through the gateway. */
describe('the gateway and other implementations of S/MIME', () => {
  let system: MailSystem;
  let gnupg: Started<Gpgsm>;
  let nss: Started<Nss>;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob', 'carol'], pinned: ['bob'] });
    gnupg = await services.gpgsm(system.pki);
    nss = await services.nss(system.pki);
    for (const peer of [gnupg, nss]) {
      await peer.importIdentity(system.user('alice').identity);
      await peer.importIdentity(system.user('bob').identity);
    }
  });
  afterAll(async () => {
    await nss?.stop();
    await gnupg?.stop();
    await system?.stop();
  });

  describe('an encrypted and signed mail from the gateway', () => {
    let wire: Buffer;

    beforeAll(async () => {
      system.taken();
      await system.send('alice', {
        to: addressOf('bob'),
        subject: 'outgoing',
        text: 'Grüße aus dem Bootshaus',
      });
      wire = system.taken()[0]?.octets ?? Buffer.alloc(0);
    });

    it('OpenSSL decrypts and verifies', async () => {
      expect(quotedWords(await opensslOpen(system, wire, 'bob'))).toContain('Bootshaus');
    });

    it('GnuPG decrypts and verifies', async () => {
      const inner = await gnupg.decrypt(cmsOf(wire));
      const { content, signature } = clearSigned(inner);
      expect((await gnupg.verify(signature, content)).join('\n')).toMatch(/GOODSIG/);
      expect(quotedWords(content)).toContain('Bootshaus');
    });

    it('NSS decrypts and verifies', async () => {
      const inner = await nss.decode(cmsOf(wire));
      const { content, signature } = clearSigned(inner);
      expect(quotedWords(await nss.decode(signature, content))).toContain('Bootshaus');
    });
  });

  it('a clear-signed mail from the gateway is good for OpenSSL, GnuPG and NSS', async () => {
    system.taken();
    await system.send('alice', { to: addressOf('carol'), subject: 'signed', text: 'for everybody to read' });
    const wire = system.taken()[0]?.octets ?? Buffer.alloc(0);
    const { content, signature } = clearSigned(wire);
    expect((await opensslVerify(system, wire)).toString()).toContain('for everybody to read');
    expect((await gnupg.verify(signature, content)).join('\n')).toMatch(/GOODSIG/);
    expect((await nss.decode(signature, content)).toString()).toContain('for everybody to read');
  });

  it.each(['GnuPG', 'NSS'] as const)(
    'bob reads through the gateway what %s signed and encrypted',
    async (name) => {
      const peer = name === 'GnuPG' ? gnupg : nss;
      const words = `written by ${name}`;
      const entity = Buffer.from(`Content-Type: text/plain\r\n\r\n${words}\r\n`);
      const signed = pkcs7Entity('signed-data', await peer.sign(addressOf('alice'), entity));
      const encrypted = pkcs7Entity('enveloped-data', await peer.encrypt([addressOf('bob')], signed));
      const head = `From: ${addressOf('alice')}\r\nTo: ${addressOf('bob')}\r\nSubject: from ${name}\r\nMIME-Version: 1.0\r\n`;
      await deliverByLmtp(system.dovecot.lmtpPort, {
        reversePath: addressOf('alice'),
        recipients: [addressOf('bob')],
        octets: Buffer.concat([Buffer.from(head), encrypted]),
        eightBit: false,
        smtpUtf8: false,
      });
      const seen = (await system.read('bob')).find((mail) => mail.includes(`Subject: from ${name}`));
      expect(seen?.toString()).toContain(words);
      expect(seen?.toString()).toMatch(/^Authentication-Results: [^;]*;\s+smime=pass/m);
    },
  );
});

function cmsOf(message: Buffer): Buffer {
  const { octets, root } = readMessage(message);
  return decodeBody(octets, root);
}

function pkcs7Entity(type: string, cms: Buffer): Buffer {
  const head = `Content-Type: application/pkcs7-mime; smime-type=${type}; name="smime.p7m"\r\nContent-Transfer-Encoding: base64\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), encodeBase64(cms), Buffer.from('\r\n')]);
}

/** First part as signed (header and body), and the signature's DER. */
function clearSigned(message: Buffer): { content: Buffer; signature: Buffer } {
  const { octets, root } = readMessage(message);
  const [content, signature] = root.parts;
  if (content === undefined || signature === undefined)
    throw new Error('not a multipart/signed of two parts');
  return {
    content: octets.subarray(content.header.start, content.body.end),
    signature: decodeBody(octets, signature),
  };
}

/** Quoted-printable does not matter for the words looked for. */
function quotedWords(octets: Buffer): string {
  return octets.toString('latin1').replace(/=\r?\n/g, '');
}
