import { type ContentDigestName, contentDigest, digest } from '../cms/digests.ts';
import { certificatesOf, type SignedData, type SignerInfo, signerCandidates } from '../cms/signed-data.ts';
import { type SignedContent, type VerificationReport, verifySignature } from '../cms/verify.ts';
import { type FromHeader, namesAnotherAddress } from '../mail/address.ts';
import type { Certificate } from '../pki/certificate.ts';
import { CertificateSet } from '../pki/certificate-set.ts';
import type { CrlSet } from '../pki/crl-set.ts';
import { mayCertificateSign } from '../pki/key-purpose.ts';
import { validatePath } from '../pki/path.ts';
import type { PathProblem, PathReport } from '../pki/path-report.ts';
import { checkRevocation } from '../pki/revocation.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import { revocationForPeople } from '../pki/revocation-for-people.ts';
import { type SpeaksForOptions, speaksFor } from '../pki/speaks-for.ts';
import { type CheckedPath, unrevokedPath } from '../pki/unrevoked-path.ts';
import { carriedCrls } from './carried-crls.ts';
import type { SignatureReport, SignedLayer } from './report.ts';

/**
 * Reports what the signatures of one layer are worth, check by check (RFC 8551 §3.5, RFC 8550).
 *
 * Must never happen: `good` together with `from` for octets the From address's certificate did not sign. Whatever is
 * not established stays `unknown`, `null` or `unchecked`.
 */

export type VerificationContext = {
  /** Now. */
  at: Date;
  anchors: Anchors;
  /** Certificates that signers and issuers may be found among, besides those in the message; nothing in it is believed. */
  pool: Iterable<Certificate>;
  /** The author by the outermost header, the one that is shown. */
  from: FromHeader;
  /** Who finds evidence of revocation; absent: only the CRLs that the message carries are asked. */
  revocation?: RevocationChecker;
  /** Whether an emailAddress in the subject of an old certificate counts (pki/speaks-for.ts); absent: no. */
  subjectEmailAddress?: boolean;
};

/** Certificates that are believed, whoever the author is or by the author's address (null: there is not exactly one). */
export type Anchors = Iterable<Certificate> | ((address: string | null) => Iterable<Certificate>);

/** Certificates tried for one SignerInfo: a sender can put any number under the same issuer and serial number. */
const CANDIDATES = 8;

/** What may have been signed, ready to be held against one signature after another. */
export interface VerifiableContent {
  verify(
    signedData: Pick<SignedData, 'contentType'>,
    signerInfo: SignerInfo,
    certificate: Certificate,
  ): VerificationReport | Promise<VerificationReport>;
}

/**
 * @param contents what may have been signed: the octets as they are and, where a store has turned line ends, their
 *   canonical form
 */
export async function verifySigned(
  signedData: Omit<SignedData, 'content'>,
  contents: readonly (Buffer | VerifiableContent)[],
  form: SignedLayer['form'],
  context: VerificationContext,
): Promise<SignedLayer> {
  const certificates = certificatesOf(signedData);
  const pool = new CertificateSet([...certificates, ...context.pool]);
  const crls = carriedCrls(signedData);
  const signed = contents.map((content) =>
    Buffer.isBuffer(content) ? new DigestedContent(content) : content,
  );
  const verified: { signerInfo: SignerInfo; best: Verification | null }[] = [];
  for (const signerInfo of signedData.signerInfos) {
    verified.push({ signerInfo, best: await bestVerification(signedData, signerInfo, signed, [...pool]) });
  }
  // At once: each may wait for evidence of revocation, and the reader waits for all of them.
  const signatures = await Promise.all(
    verified.map(({ signerInfo, best }) =>
      best === null ? withoutCertificate(signerInfo) : assess(best, pool, crls, context),
    ),
  );
  return { kind: 'signed', form, signatures, certificates };
}

/** The same layer where it cannot be said which octets the signatures would be over. */
export function unverifiable(
  signedData: Pick<SignedData, 'certificates'> | null,
  form: SignedLayer['form'],
): SignedLayer {
  return {
    kind: 'signed',
    form,
    certificates: signedData === null ? [] : certificatesOf(signedData),
    signatures: [{ ...NOTHING_KNOWN, signer: null, algorithm: 'unknown', signature: 'unsupported' }],
  };
}

const NOTHING_KNOWN = {
  checks: [],
  signedAt: null,
  path: null,
  revocation: 'unchecked',
  revocationDetail: null,
  speaksFor: 'unknown',
  capabilities: [],
} as const;

type Verification = { certificate: Certificate; report: VerificationReport };

/** The first good one; else the first one; null: no certificate fits. */
async function bestVerification(
  signedData: Pick<SignedData, 'contentType'>,
  signerInfo: SignerInfo,
  contents: readonly VerifiableContent[],
  certificates: readonly Certificate[],
): Promise<Verification | null> {
  let first: Verification | null = null;
  for (const certificate of signerCandidates(signerInfo, certificates).slice(0, CANDIDATES)) {
    for (const content of contents) {
      const report = await content.verify(signedData, signerInfo, certificate);
      if (report.signature === 'good') return { certificate, report };
      first ??= { certificate, report };
    }
  }
  return first;
}

/** Content that is hashed once for each digest, however many signers and candidates there are. */
class DigestedContent implements VerifiableContent {
  readonly #content: Buffer;
  readonly #digests = new Map<ContentDigestName, Buffer>();

  constructor(content: Buffer) {
    this.#content = content;
  }

  verify(
    signedData: Pick<SignedData, 'contentType'>,
    signerInfo: SignerInfo,
    certificate: Certificate,
  ): VerificationReport {
    return verifySignature(signedData, signerInfo, this.#forSigner(signerInfo), certificate);
  }

  #forSigner({ signedAttributes, digestAlgorithm }: SignerInfo): SignedContent {
    const name = contentDigest(digestAlgorithm);
    if (signedAttributes === null || name === null) return this.#content;
    if (!this.#digests.has(name)) this.#digests.set(name, digest(name, this.#content));
    return { digests: this.#digests };
  }
}

async function assess(
  { certificate, report }: Verification,
  pool: CertificateSet,
  crls: CrlSet,
  context: VerificationContext,
): Promise<SignatureReport> {
  const { algorithm, signedAt, signature, checks, capabilities } = report;
  const good = signature === 'good';
  // What a signature that is not good says about a certificate is not worth looking at.
  const checked = good
    ? await checkedPath(certificate, judgedAt(signedAt, context.at), pool, crls, context)
    : { path: null, revocation: null };
  return {
    signer: certificate,
    algorithm,
    signedAt,
    signature,
    checks,
    path: checked.path,
    revocation: checked.revocation?.verdict ?? 'unchecked',
    revocationDetail: checked.revocation === null ? null : revocationForPeople(checked.revocation),
    speaksFor: good ? speaksForFrom(certificate, context.from, context) : 'unknown',
    capabilities,
  };
}

/**
 * Validity is judged at the signer's own signing time, so that mail stays good after its certificate expired, as every
 * mail client has it. That time is a claim: whoever holds an expired key can claim an earlier one, and only revocation
 * tells. A time to come is not believed.
 */
function judgedAt(signedAt: Date | null, now: Date): Date {
  return signedAt !== null && signedAt.getTime() <= now.getTime() ? signedAt : now;
}

function pathAt(
  certificate: Certificate,
  at: Date,
  pool: CertificateSet,
  { anchors, from }: VerificationContext,
): PathReport {
  const address = from.kind === 'one' ? from.address.address : null;
  const path = validatePath({
    ...{ certificate, pool, at, purpose: 'email-protection' },
    anchors: typeof anchors === 'function' ? anchors(address) : anchors,
  });
  const purpose = mayCertificateSign(certificate, at);
  if (purpose.kind === 'may') return path;
  const check: PathProblem['check'] =
    purpose.reason === 'extended-key-usage'
      ? 'extended-key-usage'
      : purpose.reason === 'key-usage' || purpose.reason === 'key-type'
        ? 'key-usage'
        : 'validity';
  const problem: PathProblem = { check, certificate, text: purpose.text };
  if (path.outcome === 'valid') return { outcome: 'invalid', problems: [problem] };
  // What stands against the certificate itself is said too where no path was found: a person may have said that none is needed.
  const said = path.problems.some((one) => one.certificate === certificate && one.check === check);
  return said ? path : { outcome: 'invalid', problems: [...path.problems, problem] };
}

/** The evidence of revocation must be new now, whatever time the signer claims. */
function checkedPath(
  certificate: Certificate,
  signedAt: Date,
  pool: CertificateSet,
  crls: CrlSet,
  context: VerificationContext,
): Promise<CheckedPath> {
  const { at, revocation } = context;
  return unrevokedPath(
    (without) => pathAt(certificate, signedAt, pool.without(without), context),
    async (path) => {
      const question = { path, crls, pool, at };
      return revocation === undefined
        ? checkRevocation({ ...question, ocspResponses: [] })
        : revocation.check(question);
    },
  );
}

/** Whether the certificate is the author's, who may be shown by a name. */
export function speaksForFrom(
  certificate: Certificate,
  from: FromHeader,
  options: SpeaksForOptions = {},
): SignatureReport['speaksFor'] {
  if (from.kind !== 'one') return 'unknown';
  // A reader who is shown the name only sees an author that nobody has proven.
  if (namesAnotherAddress(from.address)) return 'other';
  return speaksFor(certificate, from.address.address, options) ? 'from' : 'other';
}

function withoutCertificate(signerInfo: SignerInfo): SignatureReport {
  return {
    ...NOTHING_KNOWN,
    signer: null,
    algorithm: signerInfo.signatureAlgorithm.oid,
    signature: 'no-certificate',
  };
}
