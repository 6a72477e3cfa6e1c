import type { Element } from '../../../src/asn1/element.ts';
import { readWhole } from '../../../src/asn1/reader.ts';
import { sequenceOf } from '../../../src/asn1/sequence-reader.ts';
import { objectIdentifier } from '../../../src/asn1/values.ts';
import { malformed, reading } from '../../../src/cms/malformed.ts';

/**
 * The outermost structure of a CMS message, BER or DER, read at once: what the incremental reader is held against.
 *
 * @throws SealgateError `cms.malformed`, also for trailing octets
 */
export function readContentInfo(octets: Buffer): { contentType: string; content: Element } {
  return reading('ContentInfo', () => {
    const reader = sequenceOf(readWhole(octets, 'BER'), 'BER', 'ContentInfo');
    const contentType = objectIdentifier(reader.next('contentType'));
    const content = reader.optionalExplicit(0);
    reader.end();
    if (content === null) throw malformed('ContentInfo without content');
    return { contentType, content };
  });
}
