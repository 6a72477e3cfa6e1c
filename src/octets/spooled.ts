import type { OctetStream, Spool, SpooledOctets } from './source.ts';

/**
 * A stream written into a spool; nothing of it stays there where it fails.
 *
 * @throws the stream's own, and the spool's
 */
export async function spooled(octets: OctetStream, spool: Spool): Promise<SpooledOctets> {
  const writer = spool.begin();
  try {
    for await (const chunk of octets) await writer.write(chunk);
    return await writer.finish();
  } catch (error) {
    await writer.discard();
    throw error;
  }
}
