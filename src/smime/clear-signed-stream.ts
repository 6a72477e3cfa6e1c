import { createHash, type Hash } from 'node:crypto';
import { type ContentDigestName, contentDigest, digestOctets } from '../cms/digests.ts';
import type { SignerInfo } from '../cms/signed-data.ts';
import { DigestedOctets } from '../cms/stream-digests.ts';
import { CanonicalLines } from '../mail/canonical.ts';
import type { Entity, Range } from '../mail/entity.ts';
import { decodedBody } from '../mail/transfer-encoding.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource, RereadableOctets } from '../octets/source.ts';
import { transformedSource } from '../octets/transformed-source.ts';
import { BoundaryLines, clearSignedParts } from './clear-signed.ts';

/** `readClearSigned` for a message of any size. */
export type ClearSignedStream = {
  /** What is signed: header and body of the first part. */
  content: Range;
  /** DER or BER of the CMS object. */
  signature: RereadableOctets;
};

/** null: not what RFC 8551 describes, or open to more than one reading. Throws SealgateError `mail.malformed-encoding`. */
export async function readClearSignedStream(
  message: OctetSource,
  root: Entity,
): Promise<ClearSignedStream | null> {
  const parts = clearSignedParts(root);
  if (parts === null) return null;
  const lines = new BoundaryLines(parts.boundary, root.body.start);
  await scan(
    message,
    (octets) => {
      lines.update(octets);
      return undefined;
    },
    root.body.start,
  );
  const close = lines.closeOf(parts);
  if (close === null) return null;
  const dashes = await collect(message.read(close, Math.min(message.length, close + 2)));
  if (dashes.toString('latin1') !== '--') return null;
  const { body, transferEncoding } = parts.signature;
  const signature = decodedBody(sliceOf(message, body.start, body.end), transferEncoding);
  return { content: parts.content.range, signature };
}

/**
 * What may have been signed: the octets as they are and, where their line ends are not canonical, their canonical form. Both are
 * hashed in one reading, with every digest that a signerInfo names.
 */
export async function signedForms(
  content: OctetSource,
  signerInfos: readonly SignerInfo[],
): Promise<DigestedOctets[]> {
  const names = new Set(
    signerInfos.map(({ digestAlgorithm }) => contentDigest(digestAlgorithm)).filter((name) => name !== null),
  );
  const asIs: Hashes = new Map([...names].map((name) => [name, newHash(name)]));
  // The two are the same up to the first LF without CR.
  const canonical: Hashes[] = [];
  const lines = new CanonicalLines();
  let added = 0;
  await scan(content, (octets) => {
    const converted = lines.update(octets);
    added += converted.length - octets.length;
    if (converted !== octets && canonical.length === 0) canonical.push(copyOf(asIs));
    for (const hash of asIs.values()) hash.update(octets);
    for (const hash of canonical[0]?.values() ?? []) hash.update(converted);
    return undefined;
  });
  const forms = [new DigestedOctets(content, finished(asIs))];
  for (const hashes of canonical) {
    const octets = transformedSource(content, content.length + added, () => new CanonicalLines());
    forms.push(new DigestedOctets(octets, finished(hashes)));
  }
  return forms;
}

type Hashes = ReadonlyMap<ContentDigestName, Hash>;

function copyOf(hashes: Hashes): Hashes {
  return new Map([...hashes].map(([name, hash]) => [name, hash.copy()]));
}

function newHash(name: ContentDigestName): Hash {
  return createHash(name, name === 'shake256' ? { outputLength: digestOctets(name) } : {});
}

function finished(hashes: Hashes): Map<ContentDigestName, Buffer> {
  return new Map([...hashes].map(([name, hash]) => [name, hash.digest()]));
}
