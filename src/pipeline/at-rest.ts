import { SealgateError } from '../errors.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { Spool } from '../octets/source.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import { type AlgorithmSettings, chooseEncryption } from '../smime/algorithm-choice.ts';
import { encryptEntityStream } from '../smime/encrypt-stream.ts';
import { decryptEntity, isEncrypted } from '../smime/encrypted-entity.ts';
import { notedKeys } from './noted-keys.ts';
import { patientKeys } from './patient-keys.ts';
import type {
  AtRestStory,
  Clock,
  Keyring,
  OpeningKey,
  OpenRequest,
  OwnCertificate,
  Principal,
  RevocationStanding,
  SealOutcome,
  SealRequest,
  UnsealOutcome,
} from './ports.ts';

export type AtRestParts = {
  keyring: Keyring;
  algorithms: AlgorithmSettings;
  /** Where opened messages wait. */
  spool: Spool;
  clock: Clock;
  /** Absent: revocation is not looked at. */
  standing?: RevocationStanding;
};

/**
 * The entity inside: the message as it is, whatever octets it has. RFC 2046 §5.2.1 lets it be binary, and inside CMS nothing
 * stands in the way of that (RFC 8551 §3.1.2 is about entities that are sent on).
 */
const INNER_HEADER = Buffer.from('Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n');

/**
 * Encrypts what a client stores, to the certificates of its own login and nobody else's, and gives it back octet by octet. Nothing is
 * signed: that is for those to whom mail is sent.
 *
 * Must never happen: octets in the clear in the place of those that could not be encrypted.
 */
export function atRestStory(parts: AtRestParts): AtRestStory {
  return {
    seal: (request) => orRefusal(() => seal(request, parts)),
    unseal: (request) => unseal(request, parts),
  };
}

async function seal({ principal, outer, octets }: SealRequest, parts: AtRestParts): Promise<SealOutcome> {
  // What another program encrypted would otherwise be given back as it is, and not be opened.
  if (await isEncrypted(octets)) return { kind: 'as-is' };
  const { algorithms } = parts;
  const own = await usableCertificates(principal, parts);
  const [first] = own;
  if (first === undefined) return noCertificate(principal, parts);
  const choices = own.map(({ certificate }) => chooseEncryption([], certificate, algorithms));
  const { contentEncryption, boundKey } = chooseEncryption([], first.certificate, algorithms);
  const sealed = await encryptEntityStream(
    outer,
    joinedSource([bufferSource(INNER_HEADER), octets]),
    choices.flatMap(({ recipients }) => recipients.map(({ request }) => request)),
    contentEncryption,
    { postQuantum: algorithms.postQuantum, boundKey },
  );
  return { kind: 'sealed', ...sealed };
}

/**
 * All of them: any key of the login opens the message. One that is known to be revoked is passed over: others may have its key. So is
 * one for nobody's address here: the card of somebody else may be, or have been, in the reader.
 */
async function usableCertificates(
  principal: Principal,
  { keyring, clock, algorithms, standing }: AtRestParts,
): Promise<OwnCertificate[]> {
  const now = clock();
  const addresses = keyring.addressesOf(principal);
  const usable: OwnCertificate[] = [];
  // No address: a login stores mail from all of its own.
  for (const own of keyring.ownCertificates(principal, '')) {
    const { certificate } = own;
    if (usable.some((other) => other.certificate.der.equals(certificate.der))) continue;
    if (!addresses.some((address) => speaksFor(certificate, address))) continue;
    if (mayCertificateEncrypt(certificate, now, algorithms.postQuantum).kind !== 'may') continue;
    if ((await standing?.of(certificate))?.kind !== 'revoked') usable.push(own);
  }
  return usable;
}

function noCertificate(principal: Principal, { keyring }: AtRestParts): SealOutcome {
  const unseen = keyring.unseen(principal);
  const code = 'append.no-own-certificate';
  if (unseen !== null) return { kind: 'refused', code, duration: 'temporary', publicText: unseen };
  return {
    ...{ kind: 'refused', code, duration: 'permanent' },
    publicText:
      'Mail in this mailbox is stored encrypted, and you have no valid certificate for an address of yours to encrypt it to; it was not stored. Ask the administrator of the gateway for a new certificate.',
  };
}

/** What can be foreseen is an answer; a defect is none. */
async function orRefusal(work: () => Promise<SealOutcome>): Promise<SealOutcome> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const { code, duration, publicText } = error;
    return { kind: 'refused', code, duration, publicText: `The message was not stored. ${publicText}` };
  }
}

async function unseal(
  { session, principal, octets, patience }: OpenRequest,
  { keyring, spool, clock }: AtRestParts,
): Promise<UnsealOutcome> {
  try {
    const used = new Set<OpeningKey>();
    const own = await keyring.decryptionKeys(principal, session);
    const keys = patientKeys(notedKeys(own, used), patience, clock);
    const opened = await decryptEntity(octets, keys, spool);
    if (opened.outcome !== 'opened') {
      const unseen = opened.outcome === 'no-key' ? keyring.unseen(principal) : null;
      return unseen === null ? { kind: 'failed' } : { kind: 'unavailable', key: true, publicText: unseen };
    }
    const { entity } = opened;
    const begins = await collect(entity.read(0, Math.min(INNER_HEADER.length, entity.length)));
    if (begins.equals(INNER_HEADER)) {
      const inside = sliceOf(entity, INNER_HEADER.length, entity.length);
      return { kind: 'opened', octets: inside, discard: () => entity.discard(), keys: [...used] };
    }
    await entity.discard();
    return { kind: 'failed' };
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const { code, duration, publicText } = error;
    const key = code.startsWith('key.');
    return key || duration === 'temporary' ? { kind: 'unavailable', key, publicText } : { kind: 'failed' };
  }
}
