import type { NoSigningKey } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type KeyPurposeVerdict, mayCertificateSign } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';

/** What the diagnosis rests on. */
export type SigningSituation = {
  /** In canonical form; belongs to the login. */
  address: string;
  /** Certificates of the login's keys that can sign. */
  certificates: readonly Certificate[];
  /** Of keys on cards in whose place others are. */
  former: readonly Certificate[];
  /** Whether the login has keys at all, such as one that only decrypts. */
  hasKeys: boolean;
  /** Keyring.unseen */
  unseen: string | null;
  at: Date;
};

/**
 * Why no key signs mail from an address, in a sentence for its sender. Of several reasons the one that is nearest to a
 * signature is told: a certificate for this very address that expired rather than another one for somebody else.
 */
export function whyNoSigningKey(situation: SigningSituation): NoSigningKey {
  const { address, certificates, former, unseen, at } = situation;
  if (unseen !== null) return { reason: 'unseen', duration: 'temporary', publicText: unseen };
  // Any card that somebody puts into the reader would otherwise be a reason to send unsigned.
  if (former.some((each) => speaksFor(each, address) && mayCertificateSign(each, at).kind === 'may')) {
    return otherCard(address, certificates);
  }
  const forAddress = certificates
    .filter((certificate) => speaksFor(certificate, address))
    .sort((one, other) => other.notAfter.getTime() - one.notAfter.getTime());
  const verdicts = forAddress.map((certificate) => mayCertificateSign(certificate, at));
  // A certificate whose purpose is right and whose time is over tells more than one that was never meant to sign.
  const [told] = [...verdicts.filter(isValidity), ...verdicts.filter((verdict) => !isValidity(verdict))];
  if (told?.kind === 'may-not') return unfit(told, address);
  if (certificates.length > 0) {
    const others = [...new Set(certificates.flatMap(({ mailboxes }) => mailboxes))];
    return {
      reason: 'other-address',
      duration: 'permanent',
      publicText: `The certificate is for ${shown(others)} and the mail is from ${address}; write from the address in the certificate, or get a certificate for ${address}.`,
    };
  }
  return {
    reason: 'none',
    duration: 'permanent',
    publicText: situation.hasKeys
      ? `The keys of this login only decrypt; there is none that signs for ${address}.`
      : `This login has no key that signs for ${address}.`,
  };
}

function otherCard(address: string, certificates: readonly Certificate[]): NoSigningKey {
  const others = [...new Set(certificates.flatMap(({ mailboxes }) => mailboxes))];
  const there = others.length === 0 ? 'another one' : `one for ${shown(others)}`;
  return {
    reason: 'other-card',
    duration: 'temporary',
    publicText: `The card that signs for ${address} is not in its reader, where ${there} was put in its place; insert it.`,
  };
}

type MayNot = Extract<KeyPurposeVerdict, { kind: 'may-not' }>;

function isValidity(verdict: KeyPurposeVerdict): boolean {
  return verdict.kind === 'may-not' && (verdict.reason === 'expired' || verdict.reason === 'not-yet-valid');
}

function unfit({ reason, text }: MayNot, address: string): NoSigningKey {
  const validity = reason === 'expired' || reason === 'not-yet-valid';
  return {
    reason: validity ? 'validity' : 'purpose',
    duration: 'permanent',
    publicText: `The certificate for ${address} cannot be used to sign: ${text.charAt(0).toLowerCase()}${text.slice(1)}`,
  };
}

/** Enough to recognise one's own; a certificate may name hundreds. */
function shown(addresses: readonly string[]): string {
  if (addresses.length === 0) return 'no mail address';
  const some = addresses.slice(0, 3).join(', ');
  return addresses.length > 3 ? `${some} and others` : some;
}
