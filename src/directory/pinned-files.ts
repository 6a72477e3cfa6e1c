import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from '../pki/certificate.ts';
import { readCertificates } from '../pki/certificate-file.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { type AddressKey, addressKey } from './address-key.ts';

/** Certificates an administrator vouches for, by the address in the directory's form. Newest first. */
export interface PinnedFiles {
  find(address: string): readonly Certificate[];
  readonly addresses: readonly string[];
}

export const noPinnedFiles: PinnedFiles = { find: () => [], addresses: [] };

/** Addresses of files by their form without letter case, made once for all files. */
const spellings = new WeakMap<PinnedFiles, ReadonlyMap<string, readonly string[]>>();

/** The address of a file that differs in letter case alone: the only one of them. null: none, or it is not clear which one is meant. */
export function pinnedSpelling(pinned: PinnedFiles, { folded }: AddressKey): string | null {
  let known = spellings.get(pinned);
  if (known === undefined) {
    known = Map.groupBy(pinned.addresses, (address) => addressKey(address)?.folded ?? '');
    spellings.set(pinned, known);
  }
  const [only, ...others] = known.get(folded) ?? [];
  return only === undefined || others.length > 0 ? null : only;
}

/** Files of a folder that are read; others (a README, a note) are left alone. */
const CERTIFICATE_FILE = /\.(pem|crt|cer|der|p7b|p7c)$/i;

/**
 * Reads files, and the certificate files of folders (not of folders in them). Authorities that lie beside a
 * correspondent's certificate are passed over.
 *
 * @throws SealgateError `directory.pinned-unusable` (permanent): a file that cannot be read, or in which nobody's mail
 * address is. A pinned certificate that is silently absent would be an unencrypted mail.
 */
export async function loadPinnedFiles(paths: readonly string[]): Promise<PinnedFiles> {
  const byAddress = new Map<string, Certificate[]>();
  for (const file of await certificateFiles(paths)) {
    for (const certificate of await certificatesOf(file)) {
      for (const mailbox of certificate.mailboxes) {
        const parsed = parseMailbox(mailbox);
        if (parsed === null) continue;
        const address = `${parsed.localPart}@${parsed.domain}`;
        const known = byAddress.get(address) ?? [];
        if (known.some(({ fingerprint }) => fingerprint === certificate.fingerprint)) continue;
        byAddress.set(address, [...known, certificate].sort(newestFirst));
      }
    }
  }
  return { find: (address) => byAddress.get(address) ?? [], addresses: [...byAddress.keys()] };
}

function newestFirst(one: Certificate, other: Certificate): number {
  return other.notBefore.getTime() - one.notBefore.getTime();
}

async function certificateFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const path of paths) {
    try {
      if (!(await stat(path)).isDirectory()) {
        files.push(path);
        continue;
      }
      const names = (await readdir(path)).filter(
        (name) => CERTIFICATE_FILE.test(name) && !name.startsWith('.'),
      );
      files.push(...names.sort().map((name) => join(path, name)));
    } catch (error) {
      throw unusable(path, 'it cannot be read', error);
    }
  }
  return files;
}

async function certificatesOf(file: string): Promise<Certificate[]> {
  let found: Certificate[];
  try {
    if ((await stat(file)).size > limits.pki.bundleOctets) throw unusable(file, 'it is too large');
    found = readCertificates(await readFile(file));
  } catch (error) {
    if (!(error instanceof SealgateError)) throw unusable(file, 'it cannot be read', error);
    if (error.code === 'directory.pinned-unusable') throw error;
    throw unusable(file, error.publicText.replace(/\.$/, ''), error);
  }
  const named = found.filter(
    ({ mailboxes, basicConstraints }) => mailboxes.length > 0 && basicConstraints?.cA !== true,
  );
  if (named.length === 0) {
    throw unusable(file, 'no certificate in it names a mail address (subjectAltName, rfc822Name)');
  }
  return named;
}

function unusable(file: string, why: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'directory.pinned-unusable',
    publicText: `The pinned certificate ${file} cannot be used: ${why}.`,
    duration: 'permanent',
    cause,
  });
}
