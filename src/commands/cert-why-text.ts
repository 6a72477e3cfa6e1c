import { printable } from '../log/printable.ts';
import { nameForPeople } from '../pki/name.ts';
import { entryJson } from './cert-options.ts';
import { addressText, day, decisionText, journalText, sourceText } from './cert-text.ts';
import type { CertificateWhy, Why } from './cert-why-judgement.ts';

export function whyLines({ asked, address, certificates }: Why): string[] {
  if (certificates.length === 0) {
    return [
      `Nothing is known of ${printable(asked)}.`,
      'Next: a signed mail from there that is read through the gateway brings the certificate. “sealgate cert lookup ADDRESS” asks the sources of directory.sources and shows what each says; “sealgate cert import --trust directory FILE” takes one from a file.',
    ];
  }
  const used = certificates.filter((one) => one.used.yes).length;
  const head =
    address === null
      ? []
      : [`${addressText(address)}: ${certificates.length} known, ${used} used. The newest first:`, ''];
  return [...head, ...certificates.flatMap((one, i) => [...(i === 0 ? [] : ['']), ...certificateLines(one)])];
}

function certificateLines(why: CertificateWhy): string[] {
  const { certificate, entries, file, path, standing, journal, decision, used, believed, next } = why;
  const { subject, notBefore, notAfter, fingerprint } = certificate;
  const yes = (one: boolean) => (one ? 'yes' : 'NO ');
  return [
    nameForPeople(subject),
    `  fingerprint   ${fingerprint}`,
    `  encrypted to  ${yes(used.yes)}  ${used.because}`,
    `  signatures    ${yes(believed.yes)}  ${believed.because}`,
    `  valid         ${day(notBefore)} to ${day(notAfter)}`,
    `  names         ${certificate.mailboxes.length === 0 ? 'no address' : certificate.mailboxes.slice(0, 5).map(printable).join(', ')}${certificate.mailboxes.length > 5 ? ` and ${certificate.mailboxes.length - 5} more` : ''}`,
    ...entries
      .slice(0, SHOWN)
      .map(
        ({ address, trust, state, source, sources, firstSeen, lastSeen }) =>
          `  known         ${addressText(address)}: ${trust}, ${state}, from ${sourceText({ source, sources })}, seen ${day(firstSeen)} to ${day(lastSeen)}`,
      ),
    ...(entries.length > SHOWN ? [`  known         for ${entries.length - SHOWN} more addresses`] : []),
    ...(file ? ['  known         by a file in directory.pinned'] : []),
    ...pathLines(path),
    `  purpose       encryption: ${purposeText(why.encrypts)}; signatures: ${purposeText(why.signs)}`,
    `  revocation    ${standingText(standing)}`,
    `  decision      ${decision === null ? 'none' : decisionText(decision)}`,
    ...journal.map((line) => `  journal       ${journalText(line)}`),
    ...next.map((step) => `  next          ${step}`),
  ];
}

const SHOWN = 10;

function pathLines(path: CertificateWhy['path']): string[] {
  if (path.outcome === 'valid') {
    return path.path.map((certificate, i) => {
      const role = certificate === path.anchor ? 'anchor' : i === 0 ? 'its own' : 'authority';
      return `  path          ${role.padEnd(10)}${nameForPeople(certificate.subject)}`;
    });
  }
  return path.problems.map(({ check, text }) => `  path          NO (${check})  ${text}`);
}

function purposeText(verdict: CertificateWhy['encrypts']): string {
  return verdict.kind === 'may' ? 'yes' : `NO (${verdict.reason})`;
}

function standingText(standing: CertificateWhy['standing']): string {
  switch (standing.kind) {
    case 'good':
      return 'good';
    case 'revoked':
      return `REVOKED: ${standing.why}`;
    case 'unchecked':
      return `not known: ${standing.why}`;
    case 'no-path':
      return 'nobody could say: it leads to no anchor';
  }
}

export function whyJson({ asked, at, address, certificates }: Why) {
  return { asked, at, address, certificates: certificates.map(certificateJson) };
}

function certificateJson(why: CertificateWhy) {
  const { certificate, entries, file, path, standing, journal, decision, used, believed, next } = why;
  const brief = ({ fingerprint, subject, issuer }: typeof certificate) => ({
    ...{ fingerprint, subject: subject.text, issuer: issuer.text },
  });
  return {
    ...brief(certificate),
    serialNumber: certificate.serialNumber.toString('hex'),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    mailboxes: certificate.mailboxes,
    encryption: { used: used.yes, because: used.because, purpose: why.encrypts },
    signatures: { trusted: believed.yes, because: believed.because, purpose: why.signs },
    speaksForAddress: why.speaks,
    known: entries.map(entryJson),
    pinnedFile: file,
    path:
      path.outcome === 'valid'
        ? { outcome: path.outcome, anchor: path.anchor.fingerprint, certificates: path.path.map(brief) }
        : {
            outcome: path.outcome,
            problems: path.problems.map(({ check, text, certificate: of }) => ({
              check,
              text,
              of: of.fingerprint,
            })),
          },
    revocation: standing,
    decision,
    journal,
    next,
  };
}
