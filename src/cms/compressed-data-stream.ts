import type { RereadableOctets, Spool, SpooledOctets } from '../octets/source.ts';

export type StreamDecompressOutcome =
  | { outcome: 'opened'; contentType: string; content: SpooledOctets }
  | { outcome: 'failed' };

/**
 * `decompress` into a spool.
 *
 * @throws SealgateError `cms.malformed`; the source's and the spool's own
 */
export function decompressStream(
  _source: RereadableOctets,
  _spool: Spool,
  _maxOctets: number,
): Promise<StreamDecompressOutcome> {
  throw new Error('not there yet');
}
