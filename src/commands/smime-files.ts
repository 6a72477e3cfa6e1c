import { randomUUID } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SealgateError } from '../errors.ts';
import { openFileSource } from '../octets/file-source.ts';
import type { OctetSource, OctetStream, Spool } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import { readCertificates } from '../pki/certificate-file.ts';

/** Messages and certificates that the `smime` commands read and write. `-` is standard input or output. */

/** A message of any size. What comes by standard input waits in the spool, since it is read several times. */
export async function openMessageFile(
  file: string,
  spool: Spool,
): Promise<{ source: OctetSource; close(): Promise<void> }> {
  if (file !== '-') {
    const source = await openFileSource(file).catch((cause: unknown) => {
      throw unreadable(file, cause);
    });
    return { source, close: () => source.close() };
  }
  const writer = spool.begin();
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) await writer.write(chunk);
    const source = await writer.finish();
    return { source, close: () => source.discard() };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/**
 * Writes a file of which there is either all or nothing, readable for its owner alone.
 *
 * @throws SealgateError `command.output`; what reading `octets` throws
 */
export async function writeMessageFile(file: string, octets: OctetStream): Promise<void> {
  if (file === '-') {
    for await (const chunk of octets) await toStandardOutput(chunk);
    return;
  }
  await requireOrdinary(file);
  const unfinished = join(dirname(file), `.sealgate-${randomUUID()}`);
  const handle = await open(unfinished, 'wx', 0o600).catch((cause: unknown) => {
    throw unwritable(file, cause);
  });
  try {
    try {
      for await (const chunk of octets) await writeAll(handle, chunk, file);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file).catch((cause: unknown) => {
      throw unwritable(file, cause);
    });
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

/** A device or a pipe would be gone once a file had its name. */
async function requireOrdinary(file: string): Promise<void> {
  const found = await stat(file).catch(() => null);
  if (found === null || found.isFile() || found.isDirectory()) return;
  throw unwritable(file, new Error('it is no ordinary file (- is standard output)'));
}

async function writeAll(handle: FileHandle, octets: Buffer, file: string): Promise<void> {
  try {
    await handle.writeFile(octets);
  } catch (cause) {
    throw unwritable(file, cause);
  }
}

function toStandardOutput(octets: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(octets, (error) => (error == null ? resolve() : reject(error)));
  });
}

/** Certificates of PEM, DER and PKCS#7 files, in their order. @throws SealgateError that names the file */
export async function readCertificateFiles(files: readonly string[]): Promise<Certificate[]> {
  const found = await Promise.all(files.map((file) => certificatesIn(file)));
  return found.flat();
}

async function certificatesIn(file: string): Promise<Certificate[]> {
  const octets = await readFile(file).catch((cause: unknown) => {
    throw unreadable(file, cause);
  });
  try {
    return readCertificates(octets);
  } catch (cause) {
    if (!(cause instanceof SealgateError)) throw cause;
    throw new SealgateError({
      code: 'command.certificate',
      duration: 'permanent',
      publicText: `${file} holds no certificate that can be read: ${cause.publicText}`,
      cause,
    });
  }
}

function unreadable(file: string, cause: unknown): SealgateError {
  return new SealgateError({
    code: 'command.input',
    duration: 'permanent',
    publicText: `${file} cannot be read: ${reasonOf(cause)}.`,
    cause,
  });
}

function unwritable(file: string, cause: unknown): SealgateError {
  return new SealgateError({
    code: 'command.output',
    duration: 'permanent',
    publicText: `${file} cannot be written: ${reasonOf(cause)}. Nothing was left there.`,
    cause,
  });
}

function reasonOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  switch (code) {
    case 'ENOENT':
      return 'it or its folder does not exist';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'EISDIR':
      return 'it is a folder';
    case 'ENOSPC':
      return 'the disk is full';
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
