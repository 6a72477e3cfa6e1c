import type { OctetStream } from './source.ts';

/** All octets of a stream whose length the caller has bounded. */
export async function collect(octets: OctetStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of octets) chunks.push(chunk);
  return Buffer.concat(chunks);
}
