import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Clock, RevocationStanding, Standing } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { CertificateSet } from '../pki/certificate-set.ts';
import { validatePath } from '../pki/path.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import { revocationForPeople } from '../pki/revocation-for-people.ts';
import type { RevocationReport } from '../pki/revocation-report.ts';
import { unrevokedPath } from '../pki/unrevoked-path.ts';
import type { KnownIssuers } from './known-issuers.ts';

export type StandingParts = {
  checker: RevocationChecker;
  anchors: CertificateSet;
  intermediates: readonly Certificate[];
  issuers: KnownIssuers;
  clock: Clock;
  log: Log;
};

/**
 * How a certificate stands that is about to be used: a correspondent's to encrypt to, or our own to sign with.
 *
 * Whoever sends much asks for the same few certificates with every mail: an answer is remembered for a minute. That there was
 * none is not remembered where somebody who was asked may answer next time; where there is nobody to ask, for a second.
 */
export function revocationStanding(parts: StandingParts): RevocationStanding {
  const remembered = new Map<string, { span: Span; standing: Promise<Standing> }>();
  return {
    async of(certificate: Certificate, chain: readonly Certificate[] = []): Promise<Standing> {
      // With other certificates beside it there may be another path.
      const asked = [certificate, ...chain].map(({ fingerprint }) => fingerprint).join(' ');
      const now = parts.clock().getTime();
      const known = remembered.get(asked);
      if (known !== undefined && isWithin(known.span, now)) return known.standing;
      const standing = standingOf(certificate, chain, parts).catch((error: unknown) =>
        defect(error, parts.log),
      );
      remembered.delete(asked);
      const span: Span = { since: now, lasts: limits.revocation.standingMs };
      remembered.set(asked, { span, standing });
      const [oldest] = remembered.keys();
      if (remembered.size > limits.revocation.standings && oldest !== undefined) remembered.delete(oldest);
      span.lasts = lastsFor(await standing);
      return standing;
    },
  };
}

/** Milliseconds. */
type Span = { since: number; lasts: number };

/** Either way: the clock may have been set back. */
function isWithin({ since, lasts }: Span, now: number): boolean {
  return Math.abs(now - since) < lasts;
}

function lastsFor(standing: Standing): number {
  const { standingMs, noStandingMs } = limits.revocation;
  if (standing.kind === 'good' || standing.kind === 'revoked') return standingMs;
  return standing.kind === 'unchecked' && standing.mayPass ? 0 : noStandingMs;
}

/** What nobody foresaw is no reason to believe anything, nor to fail: callers were promised an answer. */
function defect(error: unknown, log: Log): Standing {
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  log.write({ event: 'gateway.defect', level: 'error', where: 'revocation/standing', error: trace });
  return { kind: 'unchecked', why: 'It could not be checked.', mayPass: true };
}

/** The path is looked for among the configured certificates, the CAs that valid mail has brought, and `chain`. */
async function standingOf(
  certificate: Certificate,
  chain: readonly Certificate[],
  { checker, anchors, intermediates, issuers, clock }: StandingParts,
): Promise<Standing> {
  const at = clock();
  const pool = new CertificateSet([...intermediates, ...chain, ...issuers.all()]);
  const { path, revocation } = await unrevokedPath(
    (without) =>
      validatePath({
        ...{ certificate, anchors, at, purpose: 'email-protection' },
        pool: pool.without(without),
      }),
    (found) => checker.check({ path: found, crls: [], pool, at }),
  );
  if (path.outcome === 'invalid' || revocation === null) return { kind: 'no-path' };
  // Configured itself: nobody stands above it who could revoke it.
  if (path.path.length === 1) return { kind: 'good' };
  const why = revocationForPeople(revocation) ?? 'Nothing is known about its revocation.';
  switch (revocation.verdict) {
    case 'good':
      return { kind: 'good' };
    case 'revoked':
      return { kind: 'revoked', why };
    case 'unchecked':
      return { kind: 'unchecked', why, mayPass: mayPass(revocation) };
  }
}

/** Every certificate that is not known to be good has a place that may answer later. */
function mayPass({ certificates }: RevocationReport): boolean {
  return certificates.every(
    ({ revocation }) =>
      revocation.status !== 'undetermined' ||
      revocation.problems.some(({ check }) => check === 'not-fetched'),
  );
}
