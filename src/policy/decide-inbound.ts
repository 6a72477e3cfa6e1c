import type { SignerDecision, Verdict } from '../pipeline/ports.ts';
import type {
  HeaderProtectionReport,
  Layer,
  SecurityReport,
  SignatureReport,
  SignedLayer,
} from '../smime/report.ts';
import { enumerated, quoted } from './quoted.ts';

/**
 * Judges what opening a mail found. Pure.
 *
 * What holds: `trusted` needs one signature over what the reader sees that passes every check; a bad signature
 * anywhere is `broken`, whatever else is good. A check that was not made never counts as passed, but for revocation
 * under `soft`. Where header fields are protected, a mail that is from somebody else inside than outside is never trusted,
 * nor one whose reader sees other fields than those that were signed.
 */
export type InboundPolicy = {
  /** `soft`: a signature whose certificate's revocation could not be checked may be trusted. */
  revocation: 'soft' | 'hard';
  /** What people have said of signers, by fingerprint; absent: nothing. */
  decisions?: ReadonlyMap<string, SignerDecision>;
};

export function decideInbound(
  report: SecurityReport,
  policy: InboundPolicy = { revocation: 'soft' },
): Verdict {
  const damaged = report.layers.flatMap((layer) => damageOf(layer) ?? []);
  if (damaged[0] !== undefined) return { kind: 'broken', why: damaged[0] };
  const signed = report.layers.filter(isSigned);
  // The innermost signature is the author's: what is around it may be a list's or a gateway's (RFC 2634 §1.1).
  const author = signed.at(-1);
  if (author === undefined) return { kind: 'unsigned' };
  if (report.layers.some((layer) => layer.kind === 'encrypted' && layer.outcome !== 'opened')) {
    return {
      kind: 'untrusted',
      why: 'The mail is encrypted to somebody else: what is inside could not be checked.',
    };
  }
  const doubts = author.signatures.map((signature) => doubtAbout(signature, policy));
  if (doubts.includes(null)) {
    const why = doubtAboutHeader(report.headerProtection);
    return why === null ? { kind: 'trusted' } : { kind: 'untrusted', why };
  }
  return { kind: 'untrusted', why: doubts[0] ?? 'The signature could not be checked.' };
}

/** RFC 9788 §4.4: what the header is worth under a signature that is believed; null: nothing is against it. */
function doubtAboutHeader(header: HeaderProtectionReport | undefined): string | null {
  if (header === undefined) return null;
  if (header.fromMismatch) {
    return 'The mail names another sender inside, where it is protected, than outside.';
  }
  if (header.shown === 'inside') return null;
  const differing = header.fields.filter(({ differs }) => differs).map(({ name }) => name);
  return differing.length === 0
    ? null
    : `What its header says is not what was signed (${enumerated(differing, 5)}): it was changed on the way.`;
}

/** certs-only messages (RFC 8551 §3.8) carry certificates and sign nothing. */
function isSigned(layer: Layer): layer is SignedLayer {
  return layer.kind === 'signed' && layer.signatures.length > 0;
}

function damageOf(layer: Layer): string | null {
  switch (layer.kind) {
    case 'signed':
      return layer.signatures.some(({ signature }) => signature === 'bad')
        ? 'The signature does not fit the mail: it was changed on the way, or the signature is forged.'
        : null;
    case 'encrypted':
      return layer.outcome === 'failed'
        ? 'The mail could not be decrypted: it is damaged or was changed.'
        : null;
    case 'compressed':
      return layer.outcome === 'failed' ? 'The mail is damaged: it could not be unpacked.' : null;
    default:
      return null;
  }
}

/** The first thing that keeps a signature from being believed, for people; null: nothing does. */
function doubtAbout(report: SignatureReport, policy: InboundPolicy): string | null {
  switch (report.signature) {
    case 'unsupported':
      return `The signature uses an algorithm that is not understood or not accepted (${quoted(report.algorithm, 60)}).`;
    case 'no-certificate':
      return "The signer's certificate is not in the mail and not known, so the signature could not be checked.";
    case 'bad':
      return 'The signature does not fit the mail.';
    case 'good':
      break;
  }
  // Two mails with one SHA-1 digest can be made by anybody (RFC 8551 §2.1 calls it historic).
  if (report.algorithm.endsWith('-sha1')) {
    return 'The signature uses the outdated SHA-1 and could belong to another mail.';
  }
  if (report.revocation === 'revoked') {
    return `The certificate of ${signerOf(report)} has been revoked.${detailOf(report)}`;
  }
  const said = policy.decisions?.get(report.signer?.fingerprint ?? '');
  if (said?.decision === 'distrusted') {
    return `The certificate of ${signerOf(report)} is not trusted: ${quoted(said.by, 60)} said so on ${said.at.toISOString().slice(0, 10)} (${quoted(said.reason, 200)}).`;
  }
  if (report.speaksFor === 'other') {
    return `The mail is signed by ${signerOf(report)}, who is not the one it says it is from.`;
  }
  if (report.speaksFor === 'unknown') {
    return `The mail is signed by ${signerOf(report)}, and it could not be determined whom it says it is from.`;
  }
  // A person has said that it is to be believed, whatever its path says. What it may be used for, and from when to when, stays.
  if (said?.decision === 'trusted' && report.path !== null && isOfIssuers(report)) return null;
  if (report.path === null) return `The certificate of ${signerOf(report)} was not checked.`;
  if (report.path.outcome === 'invalid') {
    const problem = report.path.problems[0];
    return problem === undefined || problem.check === 'no-path'
      ? `The certificate of ${signerOf(report)} was issued by somebody this gateway does not trust.`
      : `The certificate of ${signerOf(report)} is not valid: ${quoted(problem.text, 200)}`;
  }
  // A path of one is a certificate that was configured itself: nobody stands above it who could revoke it.
  const isAnchor = report.path.path.length === 1;
  if (report.revocation === 'unchecked' && policy.revocation === 'hard' && !isAnchor) {
    return `Whether the certificate of ${signerOf(report)} has been revoked could not be checked.${detailOf(report)}`;
  }
  return null;
}

/** What a certificate says of itself, whoever issued it. */
const OWN_CHECKS: ReadonlySet<string> = new Set([
  'validity',
  'key-usage',
  'extended-key-usage',
  'unknown-critical-extension',
]);

/** Whether all that is wrong with the path is about whom it leads to, and nothing about the certificate itself. */
function isOfIssuers({ path, signer }: SignatureReport): boolean {
  if (path === null || path.outcome === 'valid') return true;
  return path.problems.every(({ check, certificate }) => certificate !== signer || !OWN_CHECKS.has(check));
}

function detailOf({ revocationDetail }: SignatureReport): string {
  return revocationDetail === null ? '' : ` ${quoted(revocationDetail, 300)}`;
}

function signerOf({ signer }: SignatureReport): string {
  if (signer === null) return 'an unknown signer';
  if (signer.mailboxes.length > 0) return enumerated(signer.mailboxes, 3);
  return signer.subject.text === '' ? 'an unnamed signer' : quoted(signer.subject.text);
}
