import { limits } from '../limits.ts';
import type { CertificateRevocationList } from '../pki/crl.ts';
import { parseCrl } from '../pki/crl.ts';
import { type OcspResponse, parseOcspResponse } from '../pki/ocsp.ts';

/** One piece of evidence as it is kept. A response that was asked for with a nonce had it when it came. */
export type Evidence =
  | { kind: 'crl'; crl: CertificateRevocationList }
  | { kind: 'ocsp'; response: OcspResponse; octets: number };

export type EvidenceKind = Evidence['kind'];

/** @throws SealgateError `asn1.malformed`, `pki.malformed` */
export function parseEvidence(kind: EvidenceKind, der: Buffer): Evidence {
  return kind === 'crl'
    ? { kind, crl: parseCrl(der) }
    : { kind, response: parseOcspResponse(der), octets: der.length };
}

/** When evidence was made and until when it says that it is new. */
export type Window = { from: Date; until: Date };

/** null: a response that says nothing. Of several answers in one response the narrowest. */
export function windowOf(evidence: Evidence): Window | null {
  if (evidence.kind === 'crl') return windowFrom(evidence.crl);
  if (evidence.response.kind === 'refused') return null;
  const windows = evidence.response.basic.responses.map(windowFrom);
  if (windows.length === 0) return null;
  const from = Math.max(...windows.map((window) => window.from.getTime()));
  const until = Math.min(...windows.map((window) => window.until.getTime()));
  return { from: new Date(from), until: new Date(until) };
}

function windowFrom({ thisUpdate, nextUpdate }: { thisUpdate: Date; nextUpdate: Date | null }): Window {
  const until = nextUpdate ?? new Date(thisUpdate.getTime() + limits.pki.ageWithoutNextUpdateMs);
  return { from: thisUpdate, until };
}

/** What it takes in memory, roughly: a CRL with its index, a response with the certificates in it. */
export function memoryOctets(evidence: Evidence): number {
  return evidence.kind === 'crl'
    ? evidence.crl.der.length + 8 * evidence.crl.size + 4_096
    : 4 * evidence.octets + 4_096;
}

/** How much of its time has to pass before newer evidence is fetched ahead. */
const AHEAD = 0.75;
/** Evidence that came back unchanged is not asked for again before this has passed. */
const LEAST_MS = 60_000;
const MOST_MS = 3_600_000;
/** Roots publish CRLs for months; what is revoked out of turn is to be seen within a day of use. */
export const LONGEST_PAUSE_MS = 24 * 3_600_000;

/**
 * When newer evidence is to be fetched: before this one stops being new, so that nobody has to wait for it, and
 * in any case after a day. A CA that has nothing newer yet is asked again after a quarter of what is left.
 */
export function refreshTime({ from, until }: Window, maxAgeMs: number | null, now: Date): Date {
  const end = Math.min(until.getTime(), maxAgeMs === null ? Infinity : from.getTime() + maxAgeMs);
  const ahead = from.getTime() + AHEAD * (end - from.getTime());
  const pause = Math.min(Math.max((end - now.getTime()) / 4, LEAST_MS), MOST_MS);
  const wanted = Math.min(ahead, now.getTime() + LONGEST_PAUSE_MS);
  return new Date(Math.max(wanted, now.getTime() + pause));
}
