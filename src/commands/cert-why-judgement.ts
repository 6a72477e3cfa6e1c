import type { unusedBecause } from '../directory/because.ts';
import type { Decision, DirectoryEntry, JournalEntry } from '../directory/register.ts';
import type { CertificateTrust } from '../directory/source.ts';
import { printable } from '../log/printable.ts';
import type { Standing } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { KeyPurposeVerdict } from '../pki/key-purpose.ts';
import { nameForPeople } from '../pki/name.ts';
import type { PathReport } from '../pki/path-report.ts';

/** What `sealgate cert why` concludes from what it found. Pure. */

export type WhyFacts = {
  certificate: Certificate;
  /** null: nobody asked for an address. */
  address: string | null;
  /** Where the directory has it. */
  entries: readonly DirectoryEntry[];
  /** A pinned file has it for the address. */
  file: boolean;
  unused: ReturnType<typeof unusedBecause>;
  path: PathReport;
  standing: Standing;
  journal: readonly JournalEntry[];
  decision: Decision | null;
  /** Somebody distrusts it or another one with its key. */
  keyDistrusted: boolean;
  /** Whether it names the address; null: nobody asked for one. */
  speaks: boolean | null;
  encrypts: KeyPurposeVerdict;
  signs: KeyPurposeVerdict;
  failure: 'soft' | 'hard';
  anyAnchor: boolean;
  /** Its anchor is believed for encryption to the address. */
  forEncryption: boolean;
  /** An anchor that it leads to, and that is not believed for signatures of this address (trust.restrictedAnchors); null: none. */
  restricted: Certificate | null;
};

export type Conclusion = { yes: boolean; because: string };

export type CertificateWhy = WhyFacts & {
  /** Whether mail is encrypted to it (for the address, where one was asked for). */
  used: Conclusion;
  /** Whether a good signature by it is shown as trusted. */
  believed: Conclusion;
  next: readonly string[];
};

export type Why = {
  asked: string;
  at: Date;
  address: string | null;
  certificates: readonly CertificateWhy[];
};

export function judgedWhy(facts: WhyFacts): CertificateWhy {
  return { ...facts, used: used(facts), believed: believed(facts), next: nextSteps(facts) };
}

function used(facts: WhyFacts): Conclusion {
  const { unused, speaks, encrypts, standing, failure, decision, entries, file } = facts;
  const no = (because: string): Conclusion => ({ yes: false, because });
  if (decision?.decision === 'distrusted') return no('A person distrusts it, which beats everything else.');
  switch (unused) {
    case 'beside-file':
      return no('A file in directory.pinned names this address; only its certificates are used.');
    case 'beside-pinned':
      return no('Another certificate is pinned for this address.');
    case 'withdrawn':
      return no('The directory that it came from has it no more.');
    case 'superseded':
      return no('Another certificate was accepted or pinned in its place.');
    case 'pending':
      return no('The address had another certificate before; this one waits for a review.');
    default:
      break;
  }
  if (speaks === false) return no('It does not name this address (in its subjectAltName).');
  if (encrypts.kind === 'may-not') return no(encrypts.text);
  if (standing.kind === 'revoked') return no(standing.why);
  if (failure === 'hard' && standing.kind === 'unchecked') {
    return no(`Its revocation could not be checked, and trust.revocation.failure is hard: ${standing.why}`);
  }
  const trust = file ? 'pinned' : (entries[0]?.trust ?? null);
  if (trust === null) return no('The directory does not have it.');
  if (failure === 'hard' && standing.kind === 'no-path' && trust === 'verified' && decision === null) {
    return no('It leads to no trust anchor, so its revocation cannot be checked.');
  }
  return { yes: true, because: `It counts as ${trust}.${RULES[trust]}` };
}

/** Which rules take it; `verified` is what a rule asks for that says nothing. */
const RULES: Readonly<Record<CertificateTrust, string>> = {
  harvested: ' Only rules with minTrust: harvested use it.',
  directory:
    ' Only rules with minTrust: directory or harvested use it; without minTrust a rule asks for verified.',
  verified: '',
  pinned: '',
};

function believed(facts: WhyFacts): Conclusion {
  const { decision, keyDistrusted, signs, standing, path, failure, restricted } = facts;
  const no = (because: string): Conclusion => ({ yes: false, because });
  if (decision?.decision === 'distrusted') return no('A person distrusts it, which beats everything else.');
  if (signs.kind === 'may-not') return no(signs.text);
  if (standing.kind === 'revoked') return no(standing.why);
  if (decision?.decision === 'trusted')
    return { yes: true, because: 'A person trusts it, whatever its path says.' };
  if (keyDistrusted) return no('A person distrusts another certificate with the same key.');
  if (restricted !== null) {
    return no(
      `It leads to ${nameForPeople(restricted.subject)}, which is not believed for signatures of this address (trust.restrictedAnchors).`,
    );
  }
  if (path.outcome === 'invalid') return no(path.problems[0]?.text ?? 'It leads to no trust anchor.');
  if (failure === 'hard' && standing.kind === 'unchecked') {
    return no(`Its revocation could not be checked, and trust.revocation.failure is hard: ${standing.why}`);
  }
  return { yes: true, because: 'It leads to a trust anchor.' };
}

function nextSteps(facts: WhyFacts): string[] {
  const { decision, unused, speaks, encrypts, path, standing, certificate, address, journal } = facts;
  const { fingerprint } = certificate;
  const standingDecision = journal.findLast(
    ({ undoneBy, action }) => undoneBy === null && action === 'distrust',
  );
  if (decision?.decision === 'distrusted' && standingDecision !== undefined) {
    return [`If that was a mistake: sealgate cert undo ${standingDecision.id} --reason …`];
  }
  if (unused === 'beside-file')
    return ['To use it, put it beside or in place of the file in directory.pinned, and restart.'];
  if ((unused === 'pending' || unused === 'superseded' || unused === 'beside-pinned') && address !== null) {
    return [
      `Compare the fingerprint with its owner by another way than mail, then: sealgate cert accept ${printable(address)} ${fingerprint} --reason … (or pin)`,
      `If it is forged: sealgate cert distrust ${fingerprint} --reason …`,
    ];
  }
  if (speaks === false) return ['Ask for a certificate that names this very address.'];
  if (standing.kind === 'revoked')
    return ['Ask its owner for a new certificate; a signed mail from him brings it.'];
  if (encrypts.kind === 'may-not' && encrypts.reason === 'expired') {
    return ['Ask its owner for a signed mail: it brings the certificate that he has now.'];
  }
  if (encrypts.kind === 'may-not') return ['Ask its owner for a certificate that mail can be encrypted to.'];
  if (standing.kind === 'unchecked' && standing.mayPass)
    return ['See whether the places that its authority names can be reached from here.'];
  if (standing.kind === 'unchecked' && facts.failure === 'hard')
    return [
      'Nothing says where its revocation could be looked up: it is used only by rules that say revocation: soft.',
    ];
  if (facts.restricted !== null && decision === null) {
    return ['If its authority may speak for this address, say so in trust.restrictedAnchors (domains, for).'];
  }
  if (path.outcome === 'invalid' && decision === null) {
    return [
      facts.anyAnchor
        ? 'If you believe its authority, add the authority to trust.anchors (or, where a certificate between them is missing, that one to trust.intermediates).'
        : 'There are no trust anchors: name the authorities that you believe in trust.anchors.',
      `If you have compared the fingerprint: sealgate cert trust ${fingerprint} --reason …`,
    ];
  }
  const { entries, file, forEncryption } = facts;
  const trust = file ? 'pinned' : entries[0]?.trust;
  if (decision === null && (trust === 'directory' || trust === 'harvested') && forEncryption) {
    return [
      `It leads to an anchor, which an import does not look at: for rules that ask for verified, sealgate cert trust ${fingerprint} --reason …`,
    ];
  }
  return [];
}
