import type { StoredCertificate } from './certificate-rows.ts';
import { byTrust, type CertificateTrust } from './source.ts';

/** Which certificates of one address are used, and how they are trusted. Pure. */

export type UsedCertificate = {
  stored: StoredCertificate;
  trust: CertificateTrust;
  /** A person said that it is to be believed. */
  decision: { reason: string; by: string; at: Date } | null;
};

/** Why a certificate of an address is not used. */
export type Unused = 'distrusted' | 'pending' | 'superseded' | 'beside-pinned';

/**
 * A person's distrust beats everything. What he trusts is used although it waits for a review, as if it led to an anchor. Else what
 * is in use is used; beside pinned ones, nothing else.
 */
export function unusedBecause(stored: StoredCertificate, all: readonly StoredCertificate[]): Unused | null {
  if (stored.decision?.decision === 'distrusted') return 'distrusted';
  if (stored.state === 'superseded') return 'superseded';
  const anyPinned = all.some(
    ({ trust, state, decision }) =>
      trust === 'pinned' && state === 'current' && decision?.decision !== 'distrusted',
  );
  if (anyPinned && stored.trust !== 'pinned') return 'beside-pinned';
  return stored.state === 'pending' && stored.decision === null ? 'pending' : null;
}

/** Of the certificates of one address those that are used, best first. The validity is the caller's to look at. */
export function used(rows: readonly StoredCertificate[]): readonly UsedCertificate[] {
  return rows.filter((stored) => unusedBecause(stored, rows) === null).map(withDecision);
}

export function withDecision(stored: StoredCertificate): UsedCertificate {
  const { decision, trust } = stored;
  if (decision?.decision !== 'trusted') return { stored, trust, decision: null };
  const { reason, by, at } = decision;
  return {
    stored,
    trust: byTrust(trust, 'verified') < 0 ? trust : 'verified',
    decision: { reason, by, at: new Date(at) },
  };
}

/** Those that are valid at `now`, in the order of the trust ladder, then newest first. */
export function inUse(rows: readonly StoredCertificate[], now: Date): readonly UsedCertificate[] {
  const at = now.getTime();
  return used(rows)
    .filter(({ stored: { notBefore, notAfter } }) => notBefore <= at && notAfter >= at)
    .toSorted(
      (one, other) =>
        byTrust(one.trust, other.trust) ||
        other.stored.notBefore - one.stored.notBefore ||
        other.stored.lastSeen - one.stored.lastSeen,
    );
}

/**
 * Where addresses differ from the one that was asked for in letter case alone: the only one of them. Of several, the only
 * one with certificates that are trusted most: a stranger who brings another spelling into the directory by a mail cannot
 * take the certificate away that an authority vouches for. null: none, or it is not clear which one is meant.
 */
export function bySpelling(
  rows: readonly StoredCertificate[],
): { address: string; rows: readonly StoredCertificate[] } | null {
  const spellings = Map.groupBy(rows, ({ address }) => address);
  const trusted = [...spellings].flatMap(([address, all]) => {
    const best = used(all)
      .map(({ trust }) => trust)
      .toSorted(byTrust)[0];
    return best === undefined ? [] : [{ address, rows: all, best }];
  });
  const [first, second] = trusted.toSorted((one, other) => byTrust(one.best, other.best));
  if (first === undefined) return null;
  return second !== undefined && second.best === first.best ? null : first;
}
