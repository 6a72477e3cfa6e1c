import type { SignatureScheme, SigningKey } from '../cms/keys.ts';
import { type CoSigner, type SignRequest, signDetached, signingDigests, signOpaque } from '../cms/sign.ts';
import { joinMessage } from '../mail/compose.ts';
import { readMessage } from '../mail/entity-tree.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import type { Message } from '../mail/message.ts';
import { protectedContent } from '../mail/protected-content.ts';
import type { Certificate } from '../pki/certificate.ts';
import { newBoundary } from './boundary.ts';
import { ownCapabilities } from './capabilities.ts';
import { multipartSigned } from './multipart-signed.ts';
import { pkcs7Message } from './pkcs7-part.ts';

/**
 * Signs a message (RFC 8551 §3.5).
 *
 * Holds: the signature covers the MIME entity in a form that no relay has a reason to change, and copies of the header
 * fields in it where they are protected (RFC 9788). The fields outside stay as they are, in their order; those that are
 * hidden for an encryption to come are gone from there.
 */
export type SignOptions = {
  /** `clear`: multipart/signed, readable without S/MIME. `opaque`: application/pkcs7-mime, which survives list servers. */
  form: 'clear' | 'opaque';
  /** How the header is protected by this signature, and by an encryption around it; absent or null: not at all. */
  headerProtection?: HeaderProtection | null;
  /** signingTime. */
  at: Date;
  /** One of the key's; its first one when absent. */
  scheme?: SignatureScheme;
  /** For sMIMECapabilities, most preferred first (cms/capabilities.ts); our own when absent. */
  capabilities?: readonly string[];
  /** Certificate that replies should be encrypted for, when it is not the signer's own. */
  encryptionCertificate?: Certificate;
  /** Who signs the same besides. */
  coSigners?: readonly CoSigner[];
  /** For tests; a new one when absent. */
  boundary?: string;
};

/**
 * The whole signed message, CRLF. A message that has been read already is not read again. Throws SealgateError of the
 * key, of reading the message (`mail.*`) and of making it safe (`mail.cannot-make-safe`).
 */
export async function signMessage(
  message: Uint8Array | Message,
  signer: SigningKey,
  options: SignOptions,
): Promise<Buffer> {
  const { outer, content } = protectedContent(
    message instanceof Uint8Array ? readMessage(message) : message,
    options.headerProtection ?? null,
  );
  const request = signRequest(signer, options);
  switch (options.form) {
    case 'opaque': {
      return pkcs7Message(outer, 'signed-data', await signOpaque({ ...request, content }));
    }
    case 'clear': {
      const boundary = options.boundary ?? newBoundary();
      if (content.includes(`--${boundary}`)) throw new Error('the boundary occurs in what it is to bound');
      const cms = await signDetached({ ...request, content });
      const { header, before, after } = multipartSigned(boundary, signingDigests(request), cms);
      return joinMessage(outer, header, before, content, after);
    }
  }
}

export function signRequest(signer: SigningKey, options: SignOptions): SignRequest {
  return {
    signer,
    ...(options.scheme === undefined ? {} : { scheme: options.scheme }),
    signingTime: options.at,
    capabilities: options.capabilities ?? ownCapabilities,
    ...(options.encryptionCertificate === undefined
      ? {}
      : { encryptionCertificate: options.encryptionCertificate }),
    ...(options.coSigners === undefined ? {} : { coSigners: options.coSigners }),
  };
}
