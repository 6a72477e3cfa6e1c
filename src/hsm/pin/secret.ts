import { isUtf8 } from 'node:buffer';
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { isClosedToOthers, octalMode } from '../closed-to-others.ts';
import type { SecretSource } from '../source-kinds.ts';
import type { PinOutcome, SecretIdentity } from './pin-prompt.ts';

/** How reading without a person ends: at once. */
export type SecretOutcome = Extract<PinOutcome, { kind: 'pin' | 'unavailable' }>;

/** A larger file is the wrong file. Octets. */
const LARGEST_SECRET = 64 * 1024;

/**
 * A password, passphrase or PIN: the only line of a file, or a variable of this process's environment. Never throws. Permissions
 * are looked at on the open file, so that it cannot be another one by then.
 */
export function readSecret(source: SecretSource): SecretOutcome {
  return 'env' in source ? fromEnvironment(source.env) : fromFile(source.file);
}

/**
 * Without reading it: for seeing that a refused one was changed. null: it cannot be looked at now. A variable of the environment
 * stays the same as long as the process lives.
 */
export function identityOf(source: SecretSource): SecretIdentity | null {
  if ('env' in source) return variableIdentity(source.env);
  try {
    return fileIdentity(statSync(source.file, { bigint: true }));
  } catch {
    // Away or closed to us: reading it will say so.
    return null;
  }
}

function fromEnvironment(name: string): SecretOutcome {
  const value = process.env[name];
  if (value === undefined || value === '') return unavailable(`The environment variable ${name} is not set.`);
  if (/[\r\n]/.test(value)) {
    return unavailable(`The environment variable ${name} has more than one line, and a secret is one line.`);
  }
  return { kind: 'pin', pin: Buffer.from(value), identity: variableIdentity(name) };
}

function fromFile(path: string): SecretOutcome {
  let descriptor: number;
  try {
    // O_NONBLOCK: a named pipe must not hold up whoever reads.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return unavailable(`${path} ${whyNot(error)}.`);
  }
  try {
    const found = fstatSync(descriptor, { bigint: true });
    const problem = problemWith(path, found);
    if (problem !== null) return unavailable(problem);
    const octets = Buffer.allocUnsafeSlow(Number(found.size) + 1);
    try {
      const length = readWhole(descriptor, octets);
      const identity = fileIdentity(found);
      // Its identity must be that of the very octets: by it a refused secret is known again.
      if (length === octets.length || fileIdentity(fstatSync(descriptor, { bigint: true })) !== identity) {
        return unavailable(`${path} was changed while it was read; try again.`);
      }
      return secretIn(octets.subarray(0, length), path, identity);
    } finally {
      octets.fill(0);
    }
  } catch (error) {
    return unavailable(`${path} ${whyNot(error)}.`);
  } finally {
    closeSync(descriptor);
  }
}

function secretIn(octets: Buffer, path: string, identity: SecretIdentity): SecretOutcome {
  const text = octets.subarray(0, octets.length - lineEndOctets(octets));
  if (text.length === 0) return unavailable(`${path} is empty: write the secret into it.`);
  if (text.includes(0x0a) || text.includes(0x0d) || text.includes(0)) {
    return unavailable(`${path} has more than one line: a secret is one line of text.`);
  }
  if (!isUtf8(text)) return unavailable(`${path} is not UTF-8 text.`);
  const pin = Buffer.allocUnsafeSlow(text.length);
  text.copy(pin);
  return { kind: 'pin', pin, identity };
}

function lineEndOctets(octets: Buffer): number {
  if (octets.at(-1) !== 0x0a) return 0;
  return octets.at(-2) === 0x0d ? 2 : 1;
}

function problemWith(path: string, found: BigIntStats): string | null {
  const mode = Number(found.mode);
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) return `${path} is not a regular file.`;
  if (!isClosedToOthers({ mode, uid: Number(found.uid), gid: Number(found.gid) })) {
    return `${path} can be read or written by others (mode ${octalMode(mode)}): run chmod 600 ${path}.`;
  }
  if (found.size > LARGEST_SECRET) {
    return `${path} is larger than a secret can be (${LARGEST_SECRET} octets).`;
  }
  return null;
}

function readWhole(descriptor: number, into: Buffer): number {
  let length = 0;
  while (length < into.length) {
    const count = readSync(descriptor, into, length, into.length - length, null);
    if (count === 0) break;
    length += count;
  }
  return length;
}

function fileIdentity({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): SecretIdentity {
  return ['file', dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

function variableIdentity(name: string): SecretIdentity {
  return `environment ${name}`;
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'does not exist';
    case 'EACCES':
      return 'cannot be read by the user the gateway runs as';
    default:
      return `cannot be read (${code})`;
  }
}

function unavailable(publicText: string): SecretOutcome {
  return { kind: 'unavailable', duration: 'permanent', publicText };
}
