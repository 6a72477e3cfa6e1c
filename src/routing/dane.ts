import type { X509Certificate } from 'node:crypto';
import { type Association, isOf } from '../directory/smimea/association.ts';
import { SealgateError } from '../errors.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { validatePath } from '../pki/path.ts';

export type DaneReference = {
  /** Usable ones: of usage 2 and 3. */
  associations: readonly Association[];
  /** Of which a certificate below an authority of the domain needs one. */
  names: readonly string[];
};

/**
 * Whether the certificates that a mail server has shown are those that its TLSA records name (RFC 7672 §3). Pure.
 *
 * A record of the server itself (3) is the domain's word for that key: neither names nor dates of the certificate say anything beside it
 * (§3.1.1), so that it may be one that nobody else could read. One of an authority (2) is an anchor for the path that the server shows, and the certificate has to carry the server's name (§3.1.2).
 *
 * @param shown the server's own first @returns null: they are. Else why not, for people
 */
export function daneProblem(
  shown: readonly X509Certificate[],
  { associations, names }: DaneReference,
  at: Date,
): string | null {
  const [own, ...issuers] = shown;
  if (own === undefined) return 'it has shown no certificate';
  const certificate = parsed(own);
  const itself = certificate ?? unread(own);
  if (associations.some((one) => one.usage === 'dane-ee' && isOf(one, itself))) return null;
  const authorities = associations.filter(({ usage }) => usage === 'dane-ta');
  if (authorities.length === 0) return 'its certificate is not the one that its TLSA records name';
  if (certificate === null) return 'its certificate cannot be read';
  const pool = [...issuers.map(parsed), ...authorities.map(authorityIn)].filter((one) => one !== null);
  const anchors = pool.filter((one) => authorities.some((association) => isOf(association, one)));
  if (anchors.length === 0) return 'its certificate has no issuer that its TLSA records name';
  const path = validatePath({ certificate, pool, anchors, at });
  if (path.outcome === 'invalid') {
    const [problem] = path.problems;
    return `its certificate leads to no authority that its TLSA records name: ${problem?.text ?? ''}`;
  }
  // Not by the name of its subject, which whoever limits an authority to names does not limit.
  if (names.some((name) => own.checkHost(name, { subject: 'never' }) !== undefined)) return null;
  return `its certificate is not for ${names.join(' or ')}`;
}

/** The certificate of an authority that a record has whole; servers need not show it (RFC 7671 §5.2.2). */
function authorityIn({ selector, matching, data }: Association): Certificate | null {
  return selector === 'certificate' && matching === 'exact' ? read(data) : null;
}

/** What a record may name of a certificate that has no form which is otherwise believed: no name of an issuer, for one. */
function unread({ raw, publicKey }: X509Certificate): Pick<Certificate, 'der' | 'subjectPublicKeyInfo'> {
  return {
    der: Buffer.from(raw),
    subjectPublicKeyInfo: publicKey.export({ type: 'spki', format: 'der' }),
  };
}

function parsed({ raw }: X509Certificate): Certificate | null {
  return read(Buffer.from(raw));
}

function read(der: Buffer): Certificate | null {
  try {
    return parseCertificate(der);
  } catch (error) {
    if (error instanceof SealgateError) return null;
    throw error;
  }
}
