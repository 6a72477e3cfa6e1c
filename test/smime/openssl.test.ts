import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ContentEncryptionName } from '../../src/cms/content-encryption.ts';
import { SealgateError } from '../../src/errors.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { ownCapabilities } from '../../src/smime/capabilities.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { signMessage } from '../../src/smime/sign.ts';
import type { KeyKind } from '../cms/support/identities.ts';
import { crlf, isVouchedFor, kinds, People, signaturesOf } from './support/people.ts';

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

const HEADER =
  'Received: by mx\r\nFrom: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Hello\r\n';

const MESSAGES: Record<string, Buffer> = {
  'plain text': crlf(`${HEADER}MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nHello\n`),
  'LF line ends': Buffer.from(
    `${HEADER.replaceAll('\r', '')}Content-Type: text/plain\n\nFrom the start\nblanks \n\n`,
  ),
  'no MIME header': crlf(`${HEADER}\nHello\n`),
  'no final line end': crlf(`${HEADER}\nHello`),
  'an empty body': crlf(`${HEADER}\n`),
  'a header only': crlf(HEADER),
  'an empty body with MIME header': crlf(`${HEADER}Content-Type: text/html\n\n`),
  '8bit text': crlf(
    `${HEADER}Content-Transfer-Encoding: 8bit\nContent-Type: text/plain; charset=utf-8\n\ncafé \n${'é'.repeat(900)}\nFrom x\n`,
  ),
  'nested multiparts with attachments': crlf(`${HEADER}MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

This is a multi-part message in MIME format. 

--b1
Content-Type: multipart/alternative; boundary="b1x"

--b1x
Content-Type: text/plain; format=flowed; charset=utf-8
Content-Transfer-Encoding: 8bit

soft break 
größer
--b1x
Content-Type: text/html

<p>hi</p>
--b1x--

--b1
Content-Type: application/pdf; name="übersicht.pdf"
Content-Disposition: attachment; filename="übersicht.pdf"
Content-Transfer-Encoding: base64

${'QUJD'.repeat(19)}
QUJD
--b1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

From: Zoë <z@example.org>
Subject: fwd

naïve
--b1
Content-Type: image/png
Content-Transfer-Encoding: binary

\u0001\u0002 binary é
--b1--
`),
};

const SIGNERS: KeyKind[] = ['rsa', 'P-256', 'P-384'];

function verifyByOpenssl(name: string, octets: Buffer): Buffer {
  const ca = people.folder.authority.certificateFile;
  const file = people.folder.file(`${name}.eml`, octets);
  // -crlfeol: what was signed comes out as it was signed.
  return people.openssl('cms', '-verify', '-in', file, '-CAfile', ca, '-crlfeol', '-purpose', 'smimesign');
}

describe('what we sign, openssl verifies', () => {
  for (const form of ['clear', 'opaque'] as const) {
    for (const [name, octets] of Object.entries(MESSAGES)) {
      it(`${form}: ${name}`, async () => {
        const signed = await signMessage(octets, people.signer('alice'), { form, at: new Date() });
        const content = verifyByOpenssl(`${form}-ours`, signed);
        const opening = await people.open(signed);
        expect(isVouchedFor(opening)).toBe(true);
        expect(signaturesOf(opening)).toMatchObject([{ signature: 'good', capabilities: ownCapabilities }]);
        expect(opening.outcome).toBe(form === 'clear' ? 'as-is' : 'opened');
        if (form === 'opaque') expect(content.toString('latin1')).toBe(opening.entity.toString('latin1'));
        else expect(opening.entity).toBe(signed);
      });
    }
  }

  it.each(SIGNERS)('with a key of kind %s', async (kind) => {
    const octets = MESSAGES['8bit text'] ?? Buffer.alloc(0);
    const signed = await signMessage(octets, people.signer('alice', kind), { form: 'clear', at: new Date() });
    const content = verifyByOpenssl(`kind-${kind}`, signed).toString();
    const body = Buffer.from(content.slice(content.indexOf('\r\n\r\n')), 'base64').toString();
    expect(body).toMatch(/^café \r\n/);
    expect(isVouchedFor(await people.open(signed))).toBe(true);
  });

  it('by two signers, with keys of different kinds', async () => {
    const schemes = [{ kind: 'ecdsa', digest: 'sha384' }] as const;
    const coSigners = [{ signer: { ...people.signer('bob', 'P-384'), schemes } }];
    const octets = MESSAGES['8bit text'] ?? Buffer.alloc(0);
    const signer = people.signer('alice');
    const at = new Date();
    const signed = await signMessage(octets, signer, { form: 'clear', at, coSigners });
    expect(signed.toString('latin1')).toContain('micalg="sha-256,sha-384"');
    verifyByOpenssl('two-signers', signed);
    expect(signaturesOf(await people.open(signed))).toMatchObject([
      {
        signature: 'good',
        checks: expect.arrayContaining([{ check: 'signature-value', outcome: 'passed' }]),
      },
      { signature: 'good' },
    ]);
  });

  it('keeps the outer header in its order, moves Content-* inside and says MIME-Version once', async () => {
    const signed = await signMessage(MESSAGES['8bit text'] ?? Buffer.alloc(0), people.signer('alice'), {
      form: 'clear',
      at: new Date(),
      boundary: 'bound',
    });
    const { root, octets } = readMessage(signed);
    expect(root.fields.map((field) => field.name)).toEqual([
      'Received',
      'From',
      'To',
      'Subject',
      'MIME-Version',
      'Content-Type',
    ]);
    expect(Object.fromEntries(root.mediaType.parameters)).toEqual({
      protocol: 'application/pkcs7-signature',
      micalg: 'sha-256',
      boundary: 'bound',
    });
    const [content, signature] = root.parts;
    expect(content?.fields.map((field) => field.name)).toEqual(['Content-Transfer-Encoding', 'Content-Type']);
    expect(signature?.mediaType.parameters.get('name')).toBe('smime.p7s');
    expect(/^[\0-\x7f]*$/.test(octets.toString('latin1'))).toBe(true);
  });

  it('takes a new boundary each time, and none that occurs in the content', async () => {
    const octets = MESSAGES['plain text'] ?? Buffer.alloc(0);
    const boundary = async () => {
      const signed = await signMessage(octets, people.signer('alice'), { form: 'clear', at: new Date() });
      return readMessage(signed).root.mediaType.parameters.get('boundary');
    };
    expect(await boundary()).not.toBe(await boundary());
    const message = crlf(`${HEADER}\n--bound`);
    const options = { form: 'clear', at: new Date(), boundary: 'bound' } as const;
    await expect(signMessage(message, people.signer('alice'), options)).rejects.toThrow(/boundary/);
  });

  it('refuses a message whose header leaves open what is signed', async () => {
    const octets = crlf(`${HEADER}Content-Type: text/plain\nContent-Type: text/html\n\nx\n`);
    await expect(
      signMessage(octets, people.signer('alice'), { form: 'clear', at: new Date() }),
    ).rejects.toThrow(SealgateError);
  });
});

describe('what we encrypt, openssl decrypts', () => {
  const CASES: [ContentEncryptionName, KeyKind][] = [
    ['aes256-cbc', 'rsa'],
    ['aes128-cbc', 'rsa'],
    ['aes256-gcm', 'rsa'],
    ['aes256-cbc', 'P-256'],
    ['aes256-gcm', 'P-256'],
  ];
  it.each(CASES)('%s to a key of kind %s', async (algorithm, kind) => {
    const bob = people.identity('bob', kind);
    for (const octets of Object.values(MESSAGES)) {
      const encrypted = await encryptMessage(octets, [{ certificate: bob.certificate }], algorithm);
      const file = people.folder.file(`enc-${algorithm}-${kind}.eml`, encrypted);
      const content = people.openssl(
        'cms',
        '-decrypt',
        '-in',
        file,
        '-inkey',
        bob.keyFile,
        '-recip',
        bob.certificateFile,
      );
      const opening = await people.open(encrypted, [people.key('bob', kind)]);
      expect(opening).toMatchObject({
        outcome: 'opened',
        report: {
          layers: [
            { kind: 'encrypted', algorithm, authenticated: algorithm.endsWith('gcm'), outcome: 'opened' },
          ],
        },
      });
      expect(content.toString('latin1')).toBe(opening.entity.toString('latin1'));
      expect(encrypted.toString('latin1')).toContain(HEADER);
      expect(encrypted.toString('latin1')).not.toMatch(/hello\r\n$/i);
      const { mediaType } = readMessage(encrypted).root;
      expect(mediaType.parameters.get('smime-type')).toBe(
        algorithm.endsWith('gcm') ? 'authEnveloped-data' : 'enveloped-data',
      );
    }
  });

  it('signed inside encrypted, for several readers', async () => {
    const octets = MESSAGES['nested multiparts with attachments'] ?? Buffer.alloc(0);
    const signed = await signMessage(octets, people.signer('alice'), { form: 'clear', at: new Date() });
    const readers = [people.identity('bob', 'P-256'), people.identity('alice')];
    const encrypted = await encryptMessage(signed, readers, 'aes256-cbc');
    for (const key of [people.key('bob', 'P-256'), people.key('alice')]) {
      const opening = await people.open(encrypted, [key]);
      expect(opening.outcome).toBe('opened');
      expect(kinds(opening)).toEqual(['encrypted', 'signed']);
      expect(isVouchedFor(opening)).toBe(true);
      // Left whole, so that clients that verify can.
      expect(opening.entity.toString()).toMatch(/^Content-Type: multipart\/signed/);
      expect(verifyByOpenssl('inside', opening.entity).toString()).toContain('gr=C3=B6=C3=9Fer');
    }
    expect((await people.open(encrypted, [people.key('mallory')])).outcome).toBe('no-key');
    expect((await people.open(encrypted, [])).outcome).toBe('no-key');
  });
});

describe('what openssl makes, we open', () => {
  const content = 'Content-Type: text/plain; charset=utf-8\r\n\r\nHello from openssl\r\n';
  const file = () => people.folder.file('content.txt', Buffer.from(content));
  const from = ['-from', 'alice@example.org', '-to', 'bob@example.org', '-subject', 'x'];

  function sign(...options: string[]): Buffer {
    const alice = people.identity('alice');
    return people.openssl(
      'cms',
      '-sign',
      '-in',
      file(),
      '-signer',
      alice.certificateFile,
      '-inkey',
      alice.keyFile,
      ...from,
      ...options,
    );
  }

  it.each([
    ['clear, CRLF', ['-crlfeol']],
    ['clear, LF', []],
    ['opaque', ['-nodetach', '-crlfeol']],
    ['opaque, LF', ['-nodetach']],
    ['streamed (BER)', ['-nodetach', '-stream']],
    ['by key identifier, SHA-512', ['-keyid', '-md', 'sha512', '-crlfeol']],
    ['PSS', ['-keyopt', 'rsa_padding_mode:pss', '-crlfeol']],
  ])('signed %s', async (_, options) => {
    const opening = await people.open(sign(...options));
    expect(isVouchedFor(opening)).toBe(true);
    if (opening.outcome === 'opened')
      expect(opening.entity.toString().replaceAll('\r', '')).toBe(content.replaceAll('\r', ''));
  });

  it('signed without signed attributes', async () => {
    const opening = await people.open(sign('-noattr', '-crlfeol'));
    expect(isVouchedFor(opening)).toBe(true);
    expect(signaturesOf(opening)[0]?.signedAt).toBeNull();
  });

  it('signed without certificates: only known signers can be checked', async () => {
    const signed = sign('-nocerts', '-crlfeol');
    expect(signaturesOf(await people.open(signed))).toMatchObject([
      { signature: 'no-certificate', signer: null },
    ]);
    const { openMessage } = await import('../../src/smime/open.ts');
    const known = await openMessage(signed, [], {
      at: new Date(),
      anchors: [people.folder.authority.certificate],
      pool: [people.identity('alice').certificate],
    });
    expect(isVouchedFor(known)).toBe(true);
  });

  it.each([
    ['AES-256-CBC', ['-aes256']],
    ['AES-128-GCM', ['-aes-128-gcm']],
    ['streamed (BER)', ['-aes256', '-stream']],
    ['OAEP', ['-aes256', '-keyopt', 'rsa_padding_mode:oaep']],
  ])('encrypted with %s', async (_, options) => {
    const bob = people.identity('bob');
    const encrypted = people.openssl(
      ...['cms', '-encrypt', '-in', file(), ...from],
      '-recip',
      bob.certificateFile,
      ...options,
    );
    const opening = await people.open(encrypted, [people.key('bob')]);
    expect(opening.outcome).toBe('opened');
    expect(opening.entity.toString().replaceAll('\r', '')).toBe(content.replaceAll('\r', ''));
  });

  it('a triple wrap: signed in encrypted in signed (RFC 2634 §1.1)', async () => {
    const inner = people.folder.file('inner.eml', sign('-crlfeol'));
    const bob = people.identity('bob');
    const alice = people.identity('alice');
    const middle = people.folder.file(
      'middle.eml',
      people.openssl('cms', '-encrypt', '-in', inner, '-aes256', bob.certificateFile),
    );
    const outer = people.openssl(
      'cms',
      '-sign',
      '-in',
      middle,
      '-signer',
      alice.certificateFile,
      '-inkey',
      alice.keyFile,
      '-crlfeol',
      ...from,
    );
    const opening = await people.open(outer, [people.key('bob')]);
    expect(kinds(opening)).toEqual(['signed', 'encrypted', 'signed']);
    expect(opening.outcome).toBe('opened');
    expect(signaturesOf(opening).map(({ signature }) => signature)).toEqual(['good', 'good']);
    expect((await people.open(outer, [])).outcome).toBe('no-key');
  });

  it('certificates only', async () => {
    const alice = people.identity('alice');
    const p7 = people.openssl('crl2pkcs7', '-nocrl', '-certfile', alice.certificateFile, '-outform', 'DER');
    const message = crlf(`From: alice@example.org
Content-Type: application/pkcs7-mime; smime-type=certs-only; name=smime.p7c
Content-Transfer-Encoding: base64

${p7.toString('base64')}
`);
    const opening = await people.open(message);
    expect(opening).toMatchObject({
      outcome: 'as-is',
      report: { layers: [{ kind: 'signed', signatures: [] }] },
    });
    expect(opening.report.layers[0]).toMatchObject({
      certificates: [{ fingerprint: alice.certificate.fingerprint }],
    });
  });

  it('CMS of another content type stays as it is, whatever smime-type says', async () => {
    const message = people.openssl('cms', '-data_create', '-in', file(), '-outform', 'DER');
    const wrapped = crlf(`From: alice@example.org
Content-Type: application/pkcs7-mime; smime-type=compressed-data
Content-Transfer-Encoding: base64

${message.toString('base64')}
`);
    const opening = await people.open(wrapped);
    expect(opening).toMatchObject({ outcome: 'as-is', report: { layers: [] } });
    expect(opening.entity).toBe(wrapped);
  });
});
