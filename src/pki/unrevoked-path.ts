import type { PathReport } from './path-report.ts';
import type { RevocationReport } from './revocation-report.ts';

/** Other paths that are looked for where a CA of a path has been revoked. */
const OTHERS = 3;

/** `revocation`: of `path`; null: there is no valid path. */
export type CheckedPath = { path: PathReport; revocation: RevocationReport | null };

/**
 * A valid path with what is known of its revocation. Where a CA certificate on it has been revoked, another path is looked
 * for without that certificate: a CA whose certificate was replaced has two, and a mail may bring the old one. RFC 5280
 * §6.1.3 (a)(3) asks of each certificate of one path that it is not revoked, and says nothing of other paths.
 *
 * A revoked end entity is revoked, however many paths lead to it.
 *
 * @param find the best path that has none of these certificates, by fingerprint
 */
export async function unrevokedPath(
  find: (without: ReadonlySet<string>) => PathReport,
  check: (path: Extract<PathReport, { outcome: 'valid' }>['path']) => Promise<RevocationReport>,
): Promise<CheckedPath> {
  const without = new Set<string>();
  let first: CheckedPath | null = null;
  for (let others = 0; ; others++) {
    const path = find(without);
    if (path.outcome === 'invalid') return first ?? { path, revocation: null };
    const revocation = await check(path.path);
    first ??= { path, revocation };
    const revoked = revocation.certificates.filter((one) => one.revocation.status === 'revoked');
    if (revoked.length === 0) return { path, revocation };
    const [end] = path.path;
    if (others >= OTHERS || revoked.some(({ certificate }) => certificate === end)) return first;
    for (const { certificate } of revoked) without.add(certificate.fingerprint);
  }
}
