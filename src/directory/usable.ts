import type { StoredCertificate } from './certificate-rows.ts';
import { byTrust, type CertificateTrust, isRemote } from './source.ts';

/** Which certificates of one address are used, and how they are trusted. Pure. */

export type UsedCertificate = {
  stored: StoredCertificate;
  trust: CertificateTrust;
  /** A person said that it is to be believed. */
  decision: { reason: string; by: string; at: Date } | null;
};

/** Why a certificate of an address is not used. */
export type Unused = 'distrusted' | 'pending' | 'superseded' | 'beside-pinned' | 'withdrawn';

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
  if (isWithdrawn(stored)) return 'withdrawn';
  return stored.state === 'pending' && stored.decision === null ? 'pending' : null;
}

/** It came from a remote source alone, which has it no more, and no person has vouched for it. */
function isWithdrawn({ source, sources, trust, decision }: StoredCertificate): boolean {
  return isRemote(source) && sources.length === 0 && trust !== 'pinned' && decision?.decision !== 'trusted';
}

/** Whether a newcomer is held against it: what a person distrusts, or its source has taken back, speaks neither for nor against another one. */
export function countsAgainstOthers(stored: StoredCertificate): boolean {
  return stored.state === 'current' && stored.decision?.decision !== 'distrusted' && !isWithdrawn(stored);
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
 * Whether all that is known of an address came by mail alone, from issuers that nobody knows: anybody can have written that. Another
 * spelling of the address that is trusted more must not be taken away by it.
 */
export function isHearsay(
  rows: readonly (Pick<StoredCertificate, 'trust' | 'state'> & { decision: { decision: string } | null })[],
): boolean {
  // `superseded`: a person has chosen.
  return rows.every(
    ({ trust, state, decision }) =>
      trust === 'harvested' && state !== 'superseded' && decision?.decision !== 'trusted',
  );
}

/** What is used for the exact address, given what is known of it and of those that differ from it in letter case; null: nothing. */
export function spelt(
  exact: string,
  rows: readonly StoredCertificate[],
  ofOthers: readonly StoredCertificate[],
): { address: string; rows: readonly StoredCertificate[] } | null {
  const other = bySpelling(ofOthers.filter(({ address }) => address !== exact));
  const isBetter = other !== null && (rows.length === 0 || other.best !== 'harvested');
  if (isBetter) return other;
  return rows.length === 0 ? null : { address: exact, rows };
}

/**
 * Where addresses differ from the one that was asked for in letter case alone: the only one of them. Of several, the only
 * one with certificates that are trusted most: a stranger who brings another spelling into the directory by a mail cannot
 * take the certificate away that an authority vouches for. null: none, or it is not clear which one is meant.
 */
export function bySpelling(
  rows: readonly StoredCertificate[],
): { address: string; rows: readonly StoredCertificate[]; best: CertificateTrust } | null {
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
