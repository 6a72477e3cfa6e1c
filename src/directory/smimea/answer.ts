import type { DnsAnswer } from '../../dns/message.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { CertificateSet } from '../../pki/certificate-set.ts';
import { validatePath } from '../../pki/path.ts';
import { certificatesIn } from '../remote/found-certificates.ts';
import type { RemoteAnswer, Vouching } from '../remote/remote-source.ts';
import { type Association, isOf, readAssociation } from './association.ts';

/** How the records of an address are judged. */
export type SmimeaJudgement = {
  address: string;
  at: Date;
  postQuantum: boolean;
  /** What is done with records that DNSSEC does not vouch for. */
  withoutDnssec: 'ignore' | 'take';
  /** Where issuers may be found below an authority that a record names; nothing in it is believed. */
  intermediates: readonly Certificate[];
};

const SHORTEST_MS = 60_000;

/**
 * What the SMIMEA records of an address come to. Pure.
 *
 * RFC 8162 §6 takes them from DNSSEC alone, since anybody on the way could write others. Then a record of the person's own certificate
 * (DANE-EE) is the domain's word for it, and one of an authority (DANE-TA) for what it has issued; PKIX-EE needs a path to an anchor
 * beside it. PKIX-TA says of no certificate whose it is: its authorities only help to find paths. A record may have the whole certificate,
 * or only a digest or a key: then it vouches for one that is known from elsewhere.
 */
export function smimeaAnswer(
  { records, isAuthentic, timeToLive }: DnsAnswer,
  of: SmimeaJudgement,
): RemoteAnswer {
  if (!isAuthentic && of.withoutDnssec === 'ignore') {
    const remark =
      records.length === 0 ? {} : { remark: 'its records are not signed (DNSSEC), so they are not used' };
    return { certificates: [], chain: [], passedOver: records.length, ...remark };
  }
  const read = records.map(readAssociation);
  const associations = read.filter((one) => one !== null);
  const whole = associations.filter(
    ({ selector, matching }) => selector === 'certificate' && matching === 'exact',
  );
  const own = found(whole.filter(isOfPerson), of);
  const { chain } = found(
    whole.filter((one) => !isOfPerson(one)),
    of,
  );
  const authorities = [...own.chain, ...chain];
  return {
    certificates: own.certificates,
    chain: authorities,
    passedOver: own.passedOver + read.length - associations.length,
    ...(own.remark === undefined ? {} : { remark: own.remark }),
    vouches: isAuthentic ? vouching(associations, authorities, of) : onlyHanding(associations),
    ...(timeToLive === null ? {} : { keptMs: Math.max(SHORTEST_MS, timeToLive * 1_000) }),
  };
}

function isOfPerson({ usage }: Association): boolean {
  return usage === 'dane-ee' || usage === 'pkix-ee';
}

function found(
  associations: readonly Association[],
  { address, at, postQuantum }: SmimeaJudgement,
): RemoteAnswer {
  return certificatesIn(
    associations.map(({ data }) => data),
    address,
    at,
    postQuantum,
  );
}

function vouching(
  associations: readonly Association[],
  authorities: readonly Certificate[],
  { at, intermediates }: SmimeaJudgement,
): Vouching {
  const pool = new CertificateSet([...authorities, ...intermediates]);
  const named = associations.filter(({ usage }) => usage === 'dane-ta');
  const anchors = new CertificateSet(
    [...pool].filter((one) => isAuthority(one) && named.some((association) => isOf(association, one))),
  );
  return (certificate) => {
    const usages = associations.filter((one) => isOf(one, certificate)).map(({ usage }) => usage);
    if (usages.includes('dane-ee')) return 'verified';
    if (anchors.size > 0 && !isAuthority(certificate)) {
      const { outcome } = validatePath({ certificate, pool, anchors, at, purpose: 'email-protection' });
      if (outcome === 'valid') return 'verified';
    }
    return usages.includes('pkix-ee') ? 'by-path' : null;
  };
}

/** Without DNSSEC records say nothing of what others have. */
function onlyHanding(associations: readonly Association[]): Vouching {
  return (certificate) => {
    const usages = associations.filter((one) => isOf(one, certificate)).map(({ usage }) => usage);
    if (usages.includes('dane-ee')) return 'as-source';
    return usages.includes('pkix-ee') ? 'by-path' : null;
  };
}

function isAuthority({ basicConstraints }: Certificate): boolean {
  return basicConstraints?.cA === true;
}
