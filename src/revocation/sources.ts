import { createHash, randomBytes } from 'node:crypto';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { CertificateRevocationList } from '../pki/crl.ts';
import { nameForPeople, nameKey } from '../pki/name.ts';
import { writeOcspRequest } from '../pki/ocsp-request.ts';
import {
  crlEvidenceProblem,
  type EvidenceUse,
  ocspEvidenceProblem,
  type PublishedList,
} from '../pki/revocation-evidence.ts';
import {
  deltaLocations,
  hasNoRevocationAvailable,
  revocationLocations,
} from '../pki/revocation-locations.ts';
import type { Evidence } from './evidence.ts';
import type { Wanted } from './evidence-keeper.ts';
import { type Fetched, type FetchRules, fetchOctets } from './fetch.ts';
import { type Place, placeForPeople, placeOf } from './place.ts';

/** Which kinds of evidence are fetched, and in which order. */
export type SourceOrder = 'ocsp-first' | 'crl-first' | 'ocsp' | 'crl';
/** `never`: answers may come from caches. `prefer`: asked for, and what comes without is taken. `require`: not taken. */
export type NonceUse = 'never' | 'prefer' | 'require';

export type SourceRules = FetchRules & { sources: SourceOrder; nonce: NonceUse };

/** Ways to the same evidence, tried one after the other until one leads there. */
export type Source = { ways: readonly Wanted[]; refused: readonly string[] };

/** RFC 6960 §A.1: longer requests go by POST. */
const LONGEST_GET = 255;
const NONCE_OCTETS = 32;

/**
 * Where evidence about the first certificate of the chain may be had, in the order of the setting.
 *
 * @returns `none`: why there is no such place, for people
 */
export function sourcesOf(use: EvidenceUse, rules: SourceRules): { sources: Source[]; none: string | null } {
  const [certificate, issuer] = use.target;
  if (certificate === undefined || issuer === undefined) return { sources: [], none: null };
  const { ocsp, crls } = revocationLocations(certificate);
  const most = limits.revocation.urlsPerCertificate;
  const responders = ocsp
    .slice(0, most)
    .map((url) => source([url], rules, (place) => answerOf(place, use, rules)));
  const lists = crls
    .slice(0, most)
    .map((urls) => source(urls.slice(0, most), rules, (place) => listFrom(place, 'complete', use, rules)));
  const sources = inOrder(rules.sources, responders, lists);
  const name = nameForPeople(certificate.subject);
  const none =
    sources.length > 0 || hasNoRevocationAvailable(certificate)
      ? null
      : `${name}: it names no place that is asked for its revocation.`;
  return { sources, none };
}

/** Deltas that the certificate or its complete CRL names. */
export function deltaSources(crl: CertificateRevocationList, use: EvidenceUse, rules: SourceRules): Source[] {
  const most = limits.revocation.urlsPerCertificate;
  const [certificate] = use.target;
  const own = certificate === undefined ? [] : revocationLocations(certificate).deltas;
  return [...own, ...deltaLocations(crl)]
    .slice(0, most)
    .map((urls) => source(urls.slice(0, most), rules, (place) => listFrom(place, 'delta', use, rules)));
}

function inOrder(order: SourceOrder, responders: Source[], lists: Source[]): Source[] {
  switch (order) {
    case 'ocsp-first':
      return [...responders, ...lists];
    case 'crl-first':
      return [...lists, ...responders];
    case 'ocsp':
      return responders;
    case 'crl':
      return lists;
  }
}

function source(
  urls: readonly string[],
  { ports }: SourceRules,
  wanted: (place: Extract<Place, { kind: 'place' }>) => Wanted,
): Source {
  const ways: Wanted[] = [];
  const refused: string[] = [];
  for (const url of urls) {
    const place = placeOf(url, null, ports);
    if (place.kind === 'place') ways.push(wanted(place));
    else refused.push(`${placeForPeople(url)} ${place.text}`);
  }
  return { ways, refused };
}

function listFrom(
  { url }: { url: URL },
  published: PublishedList,
  use: EvidenceUse,
  rules: SourceRules,
): Wanted {
  return {
    key: `${published === 'delta' ? 'delta' : 'crl'} ${issuerKey(use.target)} ${url.href}`,
    kind: 'crl',
    place: placeForPeople(url),
    load: (signal) => {
      const accept = 'application/pkix-crl, */*;q=0.5';
      return fetchOctets({ url, body: null, accept, maxOctets: limits.pki.crlOctets, signal }, rules);
    },
    problem: (evidence) =>
      evidence.kind === 'crl'
        ? (crlEvidenceProblem(evidence.crl, published, use)?.text ?? null)
        : 'It is no CRL.',
  };
}

function answerOf({ url }: { url: URL }, use: EvidenceUse, rules: SourceRules): Wanted {
  const [certificate, issuer] = use.target;
  let nonce: Buffer | null = null;
  return {
    key: `ocsp ${issuerKey(use.target)} ${certificate?.serialNumber.toString('hex')} ${url.href}`,
    kind: 'ocsp',
    place: placeForPeople(url),
    load: (signal) => {
      nonce = rules.nonce === 'never' ? null : randomBytes(NONCE_OCTETS);
      return ask(url, certificate, issuer, nonce, signal, rules);
    },
    problem: (evidence) => problemOfAnswer(evidence, nonce, use, rules),
  };
}

function problemOfAnswer(
  evidence: Evidence,
  asked: Buffer | null,
  use: EvidenceUse,
  rules: SourceRules,
): string | null {
  if (evidence.kind !== 'ocsp') return 'It is no OCSP response.';
  const { response } = evidence;
  const isWithout = response.kind === 'successful' && response.basic.nonce === null;
  const nonce = rules.nonce === 'prefer' && isWithout ? null : asked;
  return ocspEvidenceProblem({ response, nonce }, use)?.text ?? null;
}

/** RFC 6960 §A.1: a short request by GET, so that caches on the way can answer; where that fails, or with a nonce, by POST. */
async function ask(
  url: URL,
  certificate: Certificate | undefined,
  issuer: Certificate | undefined,
  nonce: Buffer | null,
  signal: AbortSignal,
  rules: SourceRules,
): Promise<Fetched> {
  if (certificate === undefined || issuer === undefined) return { kind: 'failed', text: 'was not asked.' };
  const octets = writeOcspRequest({ certificate, issuer, nonce });
  const rest = { accept: 'application/ocsp-response', maxOctets: limits.pki.ocspResponseOctets, signal };
  const short = nonce === null ? getUrl(url, octets) : null;
  if (short !== null) {
    const got = await fetchOctets({ url: short, body: null, ...rest }, rules);
    if (got.kind === 'fetched' || signal.aborted) return got;
  }
  return fetchOctets({ url, body: { type: 'application/ocsp-request', octets }, ...rest }, rules);
}

/** null: too long for a GET, or the place has a query already. */
function getUrl(url: URL, request: Buffer): URL | null {
  if (url.search !== '') return null;
  const encoded = encodeURIComponent(request.toString('base64'));
  const whole = new URL(url);
  whole.pathname = `${url.pathname.replace(/\/$/, '')}/${encoded}`;
  return whole.href.length <= LONGEST_GET ? whole : null;
}

/** Evidence is kept apart for each issuer, by name and key: nobody can fill another CA's place. */
function issuerKey([, issuer]: readonly Certificate[]): string {
  if (issuer === undefined) return '';
  return createHash('sha256')
    .update(nameKey(issuer.subject))
    .update('\0')
    .update(issuer.subjectPublicKeyInfo)
    .digest('base64url');
}
