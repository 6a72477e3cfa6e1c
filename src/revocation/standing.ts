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
};

/**
 * How a certificate stands that is about to be used: a correspondent's to encrypt to, or our own to sign with. Its path is
 * looked for now, among the configured certificates, the CAs that valid mail has brought and those that come with it.
 */
export function revocationStanding(parts: StandingParts): RevocationStanding {
  const { checker, anchors, intermediates, issuers, clock } = parts;
  return {
    async of(certificate: Certificate, chain: readonly Certificate[] = []): Promise<Standing> {
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
    },
  };
}

/** Every certificate that is not known to be good has a place that may answer later. */
function mayPass({ certificates }: RevocationReport): boolean {
  return certificates.every(
    ({ revocation }) =>
      revocation.status !== 'undetermined' ||
      revocation.problems.some(({ check }) => check === 'not-fetched'),
  );
}
