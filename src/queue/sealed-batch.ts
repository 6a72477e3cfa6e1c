import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { CHUNK_OCTETS } from '../octets/source.ts';

/**
 * The form in which mails lie in the spool, version 2: one or several that came together, under one key.
 *
 *     "SGSPOOL2"  octets of the wrapped key (2)  the wrapped key  number of mails (2)
 *     for each mail: its name (20, ASCII)  its octets (6)
 *     for each mail, in the same order: chunks of 64 KiB, the last one shorter, each with its tag (16); one without octets where it has none
 *
 * The batch's key is random, and wrapped for the gateway's own certificate (AuthEnvelopedData); whoever wrote the batch forgets it. Each mail has
 * a key of its own, made from that and from its name and length (HKDF, RFC 5869), so that no nonce can meet a key again: AES-256-GCM, the
 * nonce is the chunk's number. Cut off, moved, exchanged or renamed is damaged.
 *
 * Pure. Version 1 was one mail in an AuthEnvelopedData, which is DER and begins with another octet.
 */

const MAGIC = Buffer.from('SGSPOOL2', 'latin1');
export const TAG_OCTETS = 16;
export const SEALED_CHUNK_OCTETS = CHUNK_OCTETS + TAG_OCTETS;
export const KEY_OCTETS = 32;

const NAME_OCTETS = 20;
const ENTRY_OCTETS = NAME_OCTETS + 6;
const MOST_WRAPPED = 16_384;
/** In one batch. */
export const MOST_MAILS = 64;
/** A head is not longer. */
export const MOST_HEAD = MAGIC.length + 2 + MOST_WRAPPED + 2 + MOST_MAILS * ENTRY_OCTETS;

export type BatchEntry = { name: string; length: number };

export function writeHead(wrapped: Buffer, entries: readonly BatchEntry[]): Buffer {
  if (wrapped.length > MOST_WRAPPED || entries.length > MOST_MAILS)
    throw new Error('a batch that is too large');
  const head = Buffer.alloc(MAGIC.length + 2 + wrapped.length + 2 + entries.length * ENTRY_OCTETS);
  let at = MAGIC.copy(head);
  at = head.writeUInt16BE(wrapped.length, at);
  at += wrapped.copy(head, at);
  at = head.writeUInt16BE(entries.length, at);
  for (const { name, length } of entries) {
    at += head.write(name, at, NAME_OCTETS, 'latin1');
    at = head.writeUIntBE(length, at, 6);
  }
  return head;
}

/** One mail in a batch. `start`: of its first chunk, in the file. */
export type Located = BatchEntry & { wrapped: Buffer; start: number };

/** Whether it is of this version. */
export function isBatch(octets: Buffer): boolean {
  return octets.subarray(0, MAGIC.length).equals(MAGIC);
}

/**
 * @param octets of the beginning of a file; `MOST_HEAD` of them are enough
 * @returns null: there is no such mail in it, or it is damaged
 */
export function locate(octets: Buffer, name: string): Located | null {
  let at = MAGIC.length;
  if (!isBatch(octets) || octets.length < at + 2) return null;
  const wrappedOctets = octets.readUInt16BE(at);
  at += 2;
  if (wrappedOctets > MOST_WRAPPED || octets.length < at + wrappedOctets + 2) return null;
  const wrapped = octets.subarray(at, at + wrappedOctets);
  at += wrappedOctets;
  const count = octets.readUInt16BE(at);
  at += 2;
  if (count > MOST_MAILS || octets.length < at + count * ENTRY_OCTETS) return null;
  let start = at + count * ENTRY_OCTETS;
  for (let i = 0; i < count; i++, at += ENTRY_OCTETS) {
    const length = octets.readUIntBE(at + NAME_OCTETS, 6);
    if (octets.toString('latin1', at, at + NAME_OCTETS) === name) return { name, length, wrapped, start };
    start += sealedOctets(length);
  }
  return null;
}

/** Of a mail with so many octets. */
export function sealedOctets(length: number): number {
  return length + chunksOf(length) * TAG_OCTETS;
}

/** One at least: it says that there is nothing. */
export function chunksOf(length: number): number {
  return Math.max(1, Math.ceil(length / CHUNK_OCTETS));
}

/** The key of one mail, from that of its batch. */
export function mailKey(batchKey: Buffer, { name, length }: BatchEntry): Buffer {
  return Buffer.from(hkdfSync('sha256', batchKey, '', `sealgate spool 2 ${name} ${length}`, KEY_OCTETS));
}

/** @returns the chunk and its tag */
export function sealChunk(key: Buffer, index: number, octets: Buffer): readonly [Buffer, Buffer] {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index));
  const sealed = cipher.update(octets);
  cipher.final();
  return [sealed, cipher.getAuthTag()];
}

/** @param sealed a chunk with its tag. @returns null: damaged */
export function openChunk(key: Buffer, index: number, sealed: Buffer): Buffer | null {
  if (sealed.length < TAG_OCTETS) return null;
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(index), { authTagLength: TAG_OCTETS });
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_OCTETS));
  const opened = decipher.update(sealed.subarray(0, sealed.length - TAG_OCTETS));
  try {
    decipher.final();
    return opened;
  } catch {
    return null;
  }
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 6, 6);
  return nonce;
}
