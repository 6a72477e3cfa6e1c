import { ECDSA, RSA } from './signature-rows.ts';
import type { MailLayer, Recipient, Row, Signer } from './specification.ts';

const TRANSPORT: Recipient = { kind: 'transport', key: 'rsa' };
const AGREEMENT: Recipient = {
  kind: 'agreement',
  key: 'P-256',
  derivation: { kind: 'x963', digest: 'sha256' },
  wrap: 'aes256-wrap',
};

function mail(
  name: string,
  layers: readonly MailLayer[],
  options: { signer?: Signer; recipient?: Recipient; neverWritten?: string } = {},
): Row {
  const { signer = RSA, recipient = TRANSPORT, neverWritten } = options;
  return {
    group: 'S/MIME messages',
    name,
    message: { kind: 'mail', layers, signer, recipient },
    ...(neverWritten === undefined ? {} : { neverWritten }),
  };
}

export const MAIL_ROWS: readonly Row[] = [
  mail('multipart/signed, RSA', ['clear']),
  mail('multipart/signed, ECDSA', ['clear'], { signer: ECDSA }),
  mail('signed-data, RSA', ['opaque']),
  mail('signed-data, ECDSA', ['opaque'], { signer: ECDSA }),
  mail('enveloped-data, RSA', ['encrypted']),
  mail('enveloped-data, ECDH', ['encrypted'], { recipient: AGREEMENT }),
  mail('authEnveloped-data, RSA', ['authenticated']),
  mail('authEnveloped-data, ECDH', ['authenticated'], { recipient: AGREEMENT }),
  mail('multipart/signed inside enveloped-data', ['clear', 'encrypted']),
  mail('signed-data inside enveloped-data', ['opaque', 'encrypted']),
  mail('enveloped-data inside signed-data', ['encrypted', 'opaque']),
  mail('Triple wrapped: signed, encrypted, signed', ['clear', 'encrypted', 'clear']),
  mail('Triple wrapped, opaque', ['opaque', 'encrypted', 'opaque']),
  mail('compressed-data', ['compressed'], { neverWritten: 'we do not compress' }),
  mail('multipart/signed, compressed, encrypted', ['clear', 'compressed', 'encrypted'], {
    neverWritten: 'we do not compress',
  }),
  mail('certs-only', ['certificates-only'], { neverWritten: 'we send no such mail' }),
];
