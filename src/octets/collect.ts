import { octetsInMemory } from './buffer-source.ts';
import type { OctetSource, OctetStream } from './source.ts';

/** All octets of a stream whose length the caller has bounded. */
export async function collect(octets: OctetStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of octets) chunks.push(chunk);
  const [only] = chunks;
  return only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks);
}

/** Octets of a source, from `start` to before `end`, of which the caller has bounded how many they are. */
export async function collectFrom(source: OctetSource, start = 0, end = source.length): Promise<Buffer> {
  const octets = octetsInMemory(source);
  if (octets === null) return collect(source.read(start, end));
  // The very same where it is the whole: dot-stuffing.ts knows it again.
  return start === 0 && end === octets.length ? octets : octets.subarray(start, end);
}
