import { expect } from 'vitest';
import {
  type DecryptOutcome,
  decrypt as decryptInMemory,
  type SharedSecrets,
} from '../../../src/cms/decrypt.ts';
import { decryptStream } from '../../../src/cms/decrypt-stream.ts';
import type { DecryptionKey } from '../../../src/cms/keys.ts';
import { SealgateError } from '../../../src/errors.ts';
import { CountedSpool, drain, inChunks } from './streams.ts';

/** `decrypt` in memory, after it was seen that a stream of the same comes to the same: outcome or error. */
export async function decrypt(
  octets: Buffer,
  keys: readonly DecryptionKey[],
  secrets: SharedSecrets = {},
): Promise<DecryptOutcome> {
  const spool = new CountedSpool();
  const streamed = await settled(async () => {
    const found = await decryptStream(inChunks(octets, [1_000]), keys, spool, secrets);
    return found.outcome === 'opened' ? { ...found, content: await drain(found.content) } : found;
  });
  expect(spool.open).toBe(0);
  const inMemory = await settled(() => decryptInMemory(octets, keys, secrets));
  expect(withoutReason(streamed)).toEqual(withoutReason(inMemory));
  if (inMemory instanceof SealgateError) throw inMemory;
  return inMemory;
}

/** What is found first of several things that are wrong, only the log gets to know. */
function withoutReason(found: DecryptOutcome | SealgateError): object {
  return found instanceof SealgateError
    ? { code: found.code, publicText: found.publicText, duration: found.duration }
    : found;
}

async function settled(run: () => Promise<DecryptOutcome>): Promise<DecryptOutcome | SealgateError> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof SealgateError) return error;
    throw error;
  }
}
