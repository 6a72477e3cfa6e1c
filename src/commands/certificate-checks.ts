import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { silentLog } from '../log/log.ts';
import { printable } from '../log/printable.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../pki/key-purpose.ts';
import { validatePath } from '../pki/path.ts';
import { revocationForPeople } from '../pki/revocation-for-people.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import { openRevocation } from '../revocation/open-revocation.ts';
import { readCertificateFiles } from './smime-files.ts';
import { day } from './token-text.ts';

/** What a certificate is worth before it is put to use: its validity, its path, revocation, its addresses, what it may do. */
export type CertificateCheck = {
  check: 'validity' | 'path' | 'revocation' | 'addresses' | 'signing' | 'encryption';
  /** `unchecked`: nothing was known to check it with. */
  outcome: 'good' | 'problem' | 'unchecked';
  /** One sentence, with the next step where there is one. */
  text: string;
};

export type CheckingOptions = { anchor?: string[]; intermediate?: string[]; address?: string[] };

/**
 * @param chain certificates that came along; nothing in them is believed
 * @param config for its trust and its ways to learn of revocation; null: only what the options name
 */
export async function checkCertificate(
  certificate: Certificate,
  chain: readonly Certificate[],
  options: CheckingOptions,
  config: Config | null,
  at: Date,
): Promise<CertificateCheck[]> {
  return [
    validity(certificate, at),
    ...(await pathAndRevocation(certificate, chain, options, config, at)),
    addresses(certificate, options.address ?? []),
    purpose('signing', mayCertificateSign(certificate, at)),
    purpose('encryption', mayCertificateEncrypt(certificate, at)),
  ];
}

function validity({ notBefore, notAfter }: Certificate, at: Date): CertificateCheck {
  const check = 'validity';
  if (at > notAfter) {
    return {
      ...{ check, outcome: 'problem' },
      text: `The certificate expired on ${day(notAfter)}: old mail still opens with its key; ask its issuer for a new one to sign with.`,
    };
  }
  if (at < notBefore) {
    return {
      ...{ check, outcome: 'problem' },
      text: `The certificate is valid only from ${day(notBefore)}: look at this machine’s clock, or wait.`,
    };
  }
  return { check, outcome: 'good', text: `Valid from ${day(notBefore)} to ${day(notAfter)}.` };
}

async function pathAndRevocation(
  certificate: Certificate,
  chain: readonly Certificate[],
  { anchor = [], intermediate = [] }: CheckingOptions,
  config: Config | null,
  at: Date,
): Promise<CertificateCheck[]> {
  const trust = config?.trust ?? null;
  const anchors = [
    ...(await readCertificateFiles(anchor)),
    ...(trust === null ? [] : await readCertificateFiles(trust.anchors)),
  ];
  const pool = [
    ...chain,
    ...(await readCertificateFiles(intermediate)),
    ...(trust === null ? [] : await readCertificateFiles(trust.intermediates)),
  ];
  if (anchors.length === 0) {
    const text =
      'No authority is known to check it with: name one with --anchor, or a configuration with --config.';
    return [{ check: 'path', outcome: 'unchecked', text }];
  }
  // An expired certificate is told of already; whether its issuer is known is another question.
  const judgedAt = at > certificate.notAfter ? certificate.notAfter : at;
  const found = validatePath({ certificate, pool, anchors, at: judgedAt, purpose: 'email-protection' });
  if (found.outcome === 'invalid') {
    const [first] = found.problems;
    const text = `${printable(first?.text ?? 'No path leads to an authority that is trusted here.')} Import the missing certificates with it (--intermediate), or trust its authority (--anchor).`;
    return [{ check: 'path', outcome: 'problem', text }];
  }
  const trusted = `Issued under ${printable(found.anchor.subject.text)}, which is trusted here.`;
  const path: CertificateCheck = { check: 'path', outcome: 'good', text: trusted };
  if (trust === null) {
    const text = 'Revocation is asked about as a configuration says: name one with --config.';
    return [path, { check: 'revocation', outcome: 'unchecked', text }];
  }
  await using opened = new AsyncDisposableStack();
  const { checker } = opened.adopt(
    await openRevocation({
      settings: trust.revocation,
      // Not the gateway's: whoever runs this command may be somebody else, and would leave files that it cannot write.
      file: null,
      clock: () => new Date(),
      ...{ anchors, intermediates: pool, log: silentLog },
    }),
    (one) => one.close(),
  );
  const report = await checker.check({ path: found.path, crls: [], pool, at });
  const outcome = { good: 'good', revoked: 'problem', unchecked: 'unchecked' } as const;
  const text = revocationForPeople(report) ?? 'No certificate of the path is revoked.';
  return [path, { check: 'revocation', outcome: outcome[report.verdict], text }];
}

/** @param wanted addresses that it should be for; none: any */
function addresses(certificate: Certificate, wanted: readonly string[]): CertificateCheck {
  const check = 'addresses';
  const named = certificate.mailboxes.map(printable).join(', ');
  if (named === '') {
    return {
      ...{ check, outcome: 'problem' },
      text: 'The certificate names no mail address, so no mail can be signed with it: ask its issuer for one that names yours.',
    };
  }
  const missing = wanted.filter((address) => !speaksFor(certificate, address));
  if (missing.length > 0) {
    return {
      ...{ check, outcome: 'problem' },
      text: `The certificate is for ${named} and not for ${missing.map(printable).join(', ')}: take the one that was issued for that address.`,
    };
  }
  return { check, outcome: 'good', text: `For ${named}.` };
}

function purpose(
  check: 'signing' | 'encryption',
  verdict: ReturnType<typeof mayCertificateSign>,
): CertificateCheck {
  if (verdict.kind === 'may') {
    return {
      check,
      outcome: 'good',
      text: check === 'signing' ? 'May sign mail.' : 'Mail may be encrypted to it.',
    };
  }
  // Signing and encryption are often two certificates; not doing one of them is no fault.
  return { check, outcome: 'unchecked', text: verdict.text };
}

/** @throws SealgateError `command.strict` */
export function requireGood(checks: readonly CertificateCheck[], { strict }: { strict?: true }): void {
  const bad = strict === true ? checks.find(({ outcome }) => outcome === 'problem') : undefined;
  if (bad === undefined) return;
  throw new SealgateError({
    code: 'command.strict',
    duration: 'permanent',
    publicText: `Nothing was imported, as --strict says: ${bad.text}`,
  });
}

export function checkLines(checks: readonly CertificateCheck[]): string[] {
  const words = { good: 'good', problem: 'PROBLEM', unchecked: 'open' };
  return checks.map(({ check, outcome, text }) => `  ${check.padEnd(11)}${words[outcome].padEnd(9)}${text}`);
}
