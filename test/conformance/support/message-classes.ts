import { deflateSync } from 'node:zlib';
import * as der from '../../../src/asn1/writer.ts';
import type { UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';
import { crlf, encrypted, mailOf, signed, textEntity } from '../../attacks/support/openssl-mail.ts';

/** One stored message of a class that the gateway treats in a way of its own. */
export type ClassMessage = {
  name: string;
  octets: Buffer;
  /** `as-stored`: not an octet differs through the gateway. */
  shown: 'as-stored' | 'view';
  /** Words that the reader finds through the gateway and, of a sealed message, not in the mailbox; null: none can be found. */
  words: string | null;
  /** What the reader sees has more octets than the mail server says: the one direction that clients take well. */
  longer?: true;
};

export type ClassPeople = {
  alice: UserIdentity;
  /** Who reads. */
  bob: UserIdentity;
  bobElliptic: UserIdentity;
  /** Whose keys are not here. */
  stranger: UserIdentity;
};

/** Thunderbird holds the time of a signature against the field. */
const DATE = new Date().toUTCString().replace('GMT', '+0000');

/** Header fields of a mail from alice to bob. */
export function outerFields(subject: string, ...more: readonly string[]): string[] {
  return [
    `Received: from relay.sealgate.test by mail.sealgate.test; ${DATE}`,
    'From: Alice <alice@sealgate.test>',
    'To: bob@sealgate.test',
    `Subject: ${subject}`,
    `Message-ID: <${subject.replace(/[^a-z0-9]+/gi, '-')}@sealgate.test>`,
    `Date: ${DATE}`,
    'X-Priority: 3',
    ...more,
  ];
}

/** Text, HTML and a file of `octets` octets. */
export function richEntity(words: string, octets = 3_000): Buffer {
  const file = Buffer.alloc(octets, 'Sealgate attachment ').toString('base64').replace(/.{76}/g, '$&\n');
  return crlf(`Content-Type: multipart/mixed; boundary="outer boundary"

--outer boundary
Content-Type: multipart/alternative; boundary=alternatives

--alternatives
Content-Type: text/plain; charset=utf-8; format=flowed
Content-Transfer-Encoding: quoted-printable

${words} Gr=C3=BC=C3=9Fe
.a line that begins with a dot
..and one with two
--alternatives
Content-Type: text/html; charset=utf-8
Content-ID: <html@sealgate.test>

<p>${words} Gr&uuml;&szlig;e</p>
--alternatives--

--outer boundary
Content-Type: application/pdf; name="Rechnung.pdf"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="Rechnung.pdf"; size=${octets}
Content-Description: an invoice

${file}
--outer boundary--
`);
}

/** Everything the gateway tells apart, made by OpenSSL from what alice wrote to bob. */
export async function messageClasses({
  alice,
  bob,
  bobElliptic,
  stranger,
}: ClassPeople): Promise<ClassMessage[]> {
  const make = async (
    name: string,
    shown: ClassMessage['shown'],
    entity: Buffer | Promise<Buffer>,
    { fields = [], ...rest }: Partial<ClassMessage> & { fields?: readonly string[] } = {},
  ): Promise<ClassMessage> => ({
    ...{
      name,
      shown,
      words: `words of ${name}.`,
      octets: mailOf(outerFields(name, ...fields), await entity),
    },
    ...rest,
  });
  const text = (name: string): Buffer => textEntity(`These are the words of ${name}.`);
  const rich = (name: string): Buffer => richEntity(`These are the words of ${name}.`);
  const gcm = { cipher: 'aes-256-gcm' };
  return await Promise.all([
    make('plain', 'as-stored', text('plain')),
    make('plain with parts', 'as-stored', rich('plain with parts')),
    make('clear-signed', 'as-stored', signed(rich('clear-signed'), alice)),
    make('opaque-signed', 'view', signed(rich('opaque-signed'), alice, { form: 'opaque' })),
    make('enveloped by RSA and CBC', 'view', encrypted(rich('enveloped by RSA and CBC'), [bob])),
    make('enveloped by GCM', 'view', encrypted(rich('enveloped by GCM'), [bob], gcm)),
    make('enveloped by ECDH', 'view', encrypted(text('enveloped by ECDH'), [bobElliptic], gcm)),
    make('signed and encrypted', 'view', sealed(rich('signed and encrypted'), alice, bob)),
    make(
      'triple wrapped',
      'view',
      signed(await sealed(rich('triple wrapped'), alice, bob), alice, { form: 'opaque' }),
    ),
    // The notice and the mail itself as an attachment are added to what is there.
    make('foreign', 'view', encrypted(rich('foreign'), [stranger], gcm), { words: null, longer: true }),
    make('corrupt', 'view', corrupted(encrypted(rich('corrupt'), [bob], gcm)), { words: null }),
    make('compressed', 'as-stored', compressed(rich('compressed')), { words: null }),
    make('LF-only content', 'view', encrypted(lfOnly('words of LF-only content.'), [bob], gcm)),
    make('header-protected', 'view', sealed(headerProtected('words of header-protected.'), alice, bob)),
    make('nested p7m', 'as-stored', nested(await encrypted(text('nested p7m'), [bob], gcm)), { words: null }),
    make('message in a message', 'view', encrypted(forwarded('words of message in a message.'), [bob], gcm)),
    make('8bit inside', 'view', encrypted(eightBit('words of 8bit inside.'), [bob], gcm)),
    make('thousands of header fields', 'view', encrypted(rich('thousands of header fields'), [bob], gcm), {
      fields: Array.from({ length: 3_000 }, (_, at) => `X-Field-${at}: y`),
    }),
    make('nothing inside', 'view', encrypted(Buffer.alloc(0), [bob], gcm), { words: null }),
  ]);
}

async function sealed(entity: Buffer, signer: UserIdentity, recipient: UserIdentity): Promise<Buffer> {
  return await encrypted(await signed(entity, signer), [recipient], { cipher: 'aes-256-gcm' });
}

/** One octet of the ciphertext is another. */
async function corrupted(entity: Promise<Buffer>): Promise<Buffer> {
  const octets = Buffer.from(await entity);
  const at = octets.length - 400;
  octets[at] = octets[at] === 0x41 ? 0x42 : 0x41;
  return octets;
}

/** RFC 3274, by hand: Debian's OpenSSL compresses nothing. */
function compressed(entity: Buffer): Buffer {
  const content = der.explicit(0, der.octetString(deflateSync(entity)));
  const data = der.sequence(
    der.integer(0),
    der.sequence(der.oid('1.2.840.113549.1.9.16.3.8')),
    der.sequence(der.oid('1.2.840.113549.1.7.1'), content),
  );
  const info = der.sequence(der.oid('1.2.840.113549.1.9.16.1.9'), der.explicit(0, data));
  return crlf(`Content-Type: application/pkcs7-mime; smime-type=compressed-data; name=smime.p7z
Content-Transfer-Encoding: base64

${info.toString('base64').replace(/.{76}/g, '$&\n')}
`);
}

function lfOnly(words: string): Buffer {
  return Buffer.from(`Content-Type: text/plain\n\n${words}\n${'An ordinary line of words.\n'.repeat(20)}`);
}

/** RFC 9788: the Subject outside says nothing. */
function headerProtected(words: string): Buffer {
  return crlf(`Subject: the hidden subject
From: Alice <alice@sealgate.test>
To: bob@sealgate.test
Date: ${DATE}
HP-Outer: Subject: header-protected
HP-Outer: From: Alice <alice@sealgate.test>
HP-Outer: To: bob@sealgate.test
HP-Outer: Date: ${DATE}
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8; hp="cipher"

${words}
`);
}

/** An encrypted message as an attachment: EFAIL's sandwich looks like this, so nobody opens it. */
function nested(entity: Buffer): Buffer {
  return Buffer.concat([
    crlf(`Content-Type: multipart/mixed; boundary=mixed

--mixed
Content-Type: text/plain

see what is attached
--mixed
`),
    entity,
    crlf('\n--mixed--\n'),
  ]);
}

function forwarded(words: string): Buffer {
  return crlf(`Content-Type: multipart/mixed; boundary=forward

--forward
Content-Type: text/plain

see below
--forward
Content-Type: message/rfc822
Content-Disposition: inline

From: "C. Arol" <carol@example.org>, dave@example.org
To: undisclosed@example.org
Subject: inside
Date: ${DATE}
Message-ID: <inside@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=deep

--deep
Content-Type: text/plain

${words}
--deep
Content-Type: image/png; name=dot.png
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--deep--

--forward--
`);
}

function eightBit(words: string): Buffer {
  return Buffer.from(
    [
      'Content-Type: multipart/mixed; boundary=utf8',
      '',
      '--utf8',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 8bit',
      '',
      `${words} Grüße aus Köln`,
      '--utf8',
      // RFC 6532: a header beyond ASCII, in a part that only the reader's own key opens.
      'Content-Type: application/octet-stream; name="Übersicht.bin"',
      'Content-Disposition: attachment; filename="Übersicht.bin"',
      'Content-Transfer-Encoding: base64',
      '',
      'QUJDREVG',
      '--utf8--',
      '',
    ].join('\r\n'),
    'utf8',
  );
}
