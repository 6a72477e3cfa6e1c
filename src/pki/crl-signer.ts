import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { certificateSignature } from './certificate-signature.ts';
import type { CertificateRevocationList } from './crl.ts';
import { nameForPeople, sameName } from './name.ts';
import { validatePath } from './path.ts';
import { type Chain, chainSignature, isAmong, type RevocationContext } from './revocation-context.ts';
import type { RevocationProblem } from './revocation-report.ts';
import { ownWorkingKey } from './working-key.ts';

/**
 * RFC 5280 §6.3.3 (f) and (g): the signer of a CRL, with its path to the same anchor that the certificate's path ends
 * in. Whether the signer is itself revoked is for the caller.
 *
 * The issuers of the certificate are tried first; they are validated already. Others of the same name (a CA with a key
 * of its own for CRLs, an indirect CRL issuer) need a path, which is looked for only after their key has verified.
 */
export function crlSigner(
  crl: CertificateRevocationList,
  target: Chain,
  context: RevocationContext,
): Chain | RevocationProblem {
  const name = crlForPeople(crl);
  let problem: RevocationProblem = {
    check: 'signer',
    text: `${name}: its signer's certificate is not known.`,
  };
  for (const signer of candidates(crl, target, context)) {
    if (!('chain' in signer)) {
      problem = signer;
      continue;
    }
    const [certificate] = signer.chain;
    if (certificate !== undefined && !maySignCrls(certificate, context.anchor)) {
      problem = { check: 'signer', text: `${name}: the key of its signer may not sign CRLs.` };
      continue;
    }
    const failure = chainSignature(crl, signer.chain, context);
    if (failure === null) return signer.chain;
    problem = { check: failure.check, text: `${name} ${failure.text}` };
  }
  return problem;
}

/**
 * RFC 5280 §6.3.3 (f) as RFC 10007 has it: a certificate without keyUsage gives no right to sign CRLs. Old roots have no
 * extensions at all; an anchor is believed because somebody configured it.
 */
function maySignCrls(certificate: Certificate, anchor: Certificate): boolean {
  if (certificate.keyUsage !== null) return certificate.keyUsage.has('cRLSign');
  return certificate.fingerprint === anchor.fingerprint;
}

function* candidates(
  crl: CertificateRevocationList,
  target: Chain,
  context: RevocationContext,
): Generator<{ chain: Chain } | RevocationProblem> {
  for (const [i, certificate] of target.entries()) {
    if (sameName(certificate.subject, crl.issuer)) yield { chain: target.slice(i) };
  }
  let looked = 0;
  for (const certificate of [context.anchor, ...context.pool.bySubject(crl.issuer)]) {
    if (!sameName(certificate.subject, crl.issuer) || isAmong(target, certificate)) continue;
    if (++looked > limits.pki.revocationCandidates) {
      yield { check: 'too-complex', text: `${crlForPeople(crl)}: too many certificates bear its name.` };
      return;
    }
    const key = ownWorkingKey(certificate);
    if (key !== null && certificateSignature(crl, key, context.budget) === 'bad') continue;
    const report = validatePath({
      certificate,
      pool: context.pool,
      anchors: [context.anchor],
      at: context.at,
      acceptLegacyAlgorithms: context.acceptLegacyAlgorithms,
    });
    yield report.outcome === 'valid'
      ? { chain: report.path }
      : { check: 'signer', text: `${crlForPeople(crl)}: the certificate of its signer is not valid.` };
  }
}

/** A CRL in words, for messages. */
export function crlForPeople(crl: CertificateRevocationList): string {
  return `The CRL of ${nameForPeople(crl.issuer)} from ${crl.thisUpdate.toISOString()}`;
}
