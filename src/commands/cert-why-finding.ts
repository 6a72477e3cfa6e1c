import { addressKey } from '../directory/address-key.ts';
import { unusedBecause } from '../directory/because.ts';
import { pinnedSpelling } from '../directory/pinned-files.ts';
import type { AddressHistory, DirectoryEntry, JournalEntry } from '../directory/register.ts';
import { isHearsay } from '../directory/usable.ts';
import { loadTrust, openRevocationFor } from '../gateway/trust.ts';
import { silentLog } from '../log/log.ts';
import type { Standing } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { CertificateSet } from '../pki/certificate-set.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../pki/key-purpose.ts';
import { validatePath } from '../pki/path.ts';
import type { PathReport } from '../pki/path-report.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import { type CertOptions, fingerprintFrom, type OpenDirectory, withDirectory } from './cert-options.ts';
import { type CertificateWhy, judgedWhy, type Why } from './cert-why-judgement.ts';
import { whyJson, whyLines } from './cert-why-text.ts';
import { jsonText } from './json-output.ts';

/** What `sealgate cert why` says. */
export async function why(asked: string, options: CertOptions): Promise<void> {
  const found = await withDirectory(options, (open) => findOut(asked, open));
  process.stdout.write(options.json ? `${jsonText(whyJson(found))}\n` : `${whyLines(found).join('\n')}\n`);
}

/** What the directory says; the certificate itself is judged afterwards. */
type Subject = {
  certificate: Certificate;
  /** null: it is asked for as such, and not for an address. */
  address: string | null;
  entries: readonly DirectoryEntry[];
  file: boolean;
  unused: ReturnType<typeof unusedBecause>;
};

async function findOut(asked: string, open: OpenDirectory): Promise<Why> {
  const at = new Date();
  const { config, register } = open;
  const subjects = asked.includes('@') ? await ofAddress(asked, open) : await ofFingerprint(asked, open);
  const trust = await loadTrust(config.trust);
  const { anchors, intermediates } = trust;
  const revocation = await openRevocationFor({ config, clock: () => at, log: silentLog }, trust);
  try {
    const certificates: CertificateWhy[] = [];
    for (const { certificate, address, entries, file, unused } of subjects) {
      const speaker = address ?? certificate.mailboxes[0] ?? null;
      const pathTo = (believed: CertificateSet): PathReport =>
        validatePath({
          ...{ certificate, pool: intermediates, anchors: believed, at, purpose: 'email-protection' },
        });
      const path = pathTo(anchors.for('signing', speaker));
      const whole = path.outcome === 'valid' ? path : pathTo(anchors.all);
      const standing: Standing =
        path.outcome === 'valid' ? await revocation.standing.of(certificate) : { kind: 'no-path' };
      const journal: readonly JournalEntry[] = await register.journal(certificate.fingerprint);
      certificates.push(
        judgedWhy({
          ...{ certificate, address, entries, file, unused, path, standing, journal },
          decision: await register.decision(certificate.fingerprint),
          keyDistrusted: await register.isKeyDistrusted(certificate),
          speaks: address === null ? null : speaksFor(certificate, address),
          encrypts: mayCertificateEncrypt(certificate, at, config.smime.postQuantum),
          signs: mayCertificateSign(certificate, at),
          failure: config.trust.revocation.failure,
          anyAnchor: anchors.all.size > 0,
          forEncryption:
            whole.outcome === 'valid' &&
            anchors.for('encryption', speaker).has(whole.anchor) &&
            !whole.path.some((one) => anchors.for('encryption', speaker).bars(one)),
          restricted: path.outcome === 'invalid' && whole.outcome === 'valid' ? whole.anchor : null,
        }),
      );
    }
    return { asked, at, address: subjects[0]?.address ?? null, certificates };
  } finally {
    await revocation.close();
  }
}

async function ofAddress(asked: string, { register, pinned }: OpenDirectory): Promise<Subject[]> {
  let history: AddressHistory = await register.history(asked);
  const key = addressKey(asked);
  // As the directory finds it, where it differs from a file in letter case alone.
  const isOpen = key !== null && pinned.find(key.exact).length === 0;
  const file =
    isOpen && (history.address !== key.exact || isHearsay(history.entries))
      ? pinnedSpelling(pinned, key)
      : null;
  if (file !== null) history = { ...(await register.history(file)), address: file };
  const { address } = history;
  const files = pinned.find(address);
  const isFile = (fingerprint: string) => files.some((one) => one.fingerprint === fingerprint);
  const kept = history.entries.map(({ unused, ...entry }) => ({
    ...{ certificate: entry.certificate, address, entries: [entry], file: isFile(entry.fingerprint) },
    unused: unusedBecause(unused, files.length > 0, isFile(entry.fingerprint)),
  }));
  const others = files.filter(
    ({ fingerprint }) => !kept.some(({ entries: [entry] }) => entry?.fingerprint === fingerprint),
  );
  return [
    ...others.map((certificate) => ({ certificate, address, entries: [], file: true, unused: null })),
    ...kept.toReversed(),
  ];
}

async function ofFingerprint(asked: string, { register }: OpenDirectory): Promise<Subject[]> {
  const entries = await register.ofCertificate(fingerprintFrom(asked));
  const [first] = entries;
  return first === undefined
    ? []
    : [{ certificate: first.certificate, address: null, entries, file: false, unused: null }];
}
