import { describe, expect, it } from 'vitest';
import { contentEncryptionOid } from '../../src/cms/content-encryption.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { chooseContentEncryption, ownCapabilities } from '../../src/smime/capabilities.ts';
import { recognise } from '../../src/smime/recognise.ts';

const kind = (...header: string[]) => recognise(readMessage(Buffer.from(`${header.join('\r\n')}\r\n\r\nx`)));

describe('what a message is by its header', () => {
  it.each([
    ['application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m', 'enveloped'],
    ['application/x-pkcs7-mime; smime-type=enveloped-data', 'enveloped'],
    ['Application/PKCS7-MIME; SMIME-Type="Enveloped-Data"', 'enveloped'],
    ['application/pkcs7-mime', 'enveloped'],
    ['application/pkcs7-mime; smime-type=new-kind', 'enveloped'],
    ['application/pkcs7-mime; smime-type=authEnveloped-data', 'auth-enveloped'],
    ['application/pkcs7-mime; smime-type=authenticated-enveloped-data', 'auth-enveloped'],
    ['application/pkcs7-mime; smime-type=signed-data', 'signed-opaque'],
    ['application/pkcs7-mime; smime-type=certs-only', 'certs-only'],
    ['application/pkcs7-mime; name=smime.p7c', 'certs-only'],
    ['application/pkcs7-mime; smime-type=compressed-data', 'compressed'],
    ['multipart/signed; protocol="application/pkcs7-signature"; boundary=b', 'signed-clear'],
    ['multipart/signed; protocol="application/x-pkcs7-signature"; boundary=b', 'signed-clear'],
    ['multipart/signed; protocol="application/pgp-signature"; boundary=b', 'none'],
    ['multipart/signed; boundary=b', 'none'],
    ['multipart/mixed; boundary=b', 'none'],
    ['application/octet-stream; name=smime.p7m', 'enveloped'],
    ['application/octet-stream; name="Mail.P7M"', 'enveloped'],
    ['application/octet-stream; name=smime.p7s', 'none'],
    ['application/octet-stream', 'none'],
    ['application/pkcs7-signature; name=smime.p7s', 'none'],
    ['text/plain; name=smime.p7m', 'none'],
    ['message/rfc822', 'none'],
    ['', 'none'],
  ])('%s: %s', (type, expected) => {
    expect(kind(`Content-Type: ${type}`)).toBe(expected);
  });

  it('looks at the file name of Content-Disposition too', () => {
    const disposition = 'Content-Disposition: attachment; filename="smime.p7m"';
    expect(kind('Content-Type: application/octet-stream', disposition)).toBe('enveloped');
    expect(kind('Content-Type: application/octet-stream', disposition, disposition)).toBe('none');
  });

  it('is nothing where there are two Content-Type fields or none', () => {
    const type = 'Content-Type: application/pkcs7-mime';
    expect(kind(type, type)).toBe('none');
    expect(kind('Subject: x')).toBe('none');
  });
});

describe('which content encryption everybody can read (RFC 8551 §2.7)', () => {
  const [gcm256, gcm128, cbc256, cbc128] = (
    ['aes256-gcm', 'aes128-gcm', 'aes256-cbc', 'aes128-cbc'] as const
  ).map(contentEncryptionOid) as [string, string, string, string];
  const tripleDes = '1.2.840.113549.3.7';

  it.each([
    ['nobody', [], 'aes256-cbc'],
    ['nothing known', [[]], 'aes256-cbc'],
    [
      'all read GCM',
      [
        [gcm256, cbc256],
        [cbc128, gcm256],
      ],
      'aes256-gcm',
    ],
    [
      'all read GCM with 128 bits',
      [
        [gcm256, gcm128],
        [gcm128, cbc256],
      ],
      'aes128-gcm',
    ],
    ['one is not known to read GCM', [[gcm256, cbc256], []], 'aes256-cbc'],
    ['one reads only CBC', [[gcm256], [cbc256, cbc128]], 'aes256-cbc'],
    ['one reads only CBC with 128 bits', [[gcm256, cbc256], [cbc128]], 'aes128-cbc'],
    ['only what is not written any more', [[tripleDes]], 'aes256-cbc'],
    ['our own', [[...ownCapabilities]], 'aes256-gcm'],
  ])('%s', (_, recipients, expected) => {
    expect(chooseContentEncryption(recipients)).toBe(expected);
  });
});
