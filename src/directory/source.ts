import type { KnownCertificate } from '../pipeline/ports.ts';

/** Where a certificate came from first. `import`: an administrator read a file in; `file`: a pinned file. */
export type CertificateSource = KnownCertificate['source'];

/** The kinds of remote sources. */
export type RemoteKind = Exclude<CertificateSource, 'mail' | 'import' | 'file'>;

const IS_REMOTE: Readonly<Record<CertificateSource, boolean>> = {
  ...{ mail: false, import: false, file: false },
  ...{ ldap: true, smimea: true, 'http-store': true },
};

/** Whether nothing but a remote source has brought a certificate so far. */
export function isRemote(source: CertificateSource): boolean {
  return IS_REMOTE[source];
}

/** The ladder of trust; src/policy/trust.ts says what a rule makes of it. */
export type CertificateTrust = KnownCertificate['trust'];

const STEPS: Readonly<Record<CertificateTrust, number>> = {
  pinned: 3,
  verified: 2,
  directory: 1,
  harvested: 0,
};

/** For sorting: what is trusted most first. */
export function byTrust(one: CertificateTrust, other: CertificateTrust): number {
  return STEPS[other] - STEPS[one];
}
