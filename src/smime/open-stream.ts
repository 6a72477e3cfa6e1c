import { inflationBound } from '../cms/compressed-data.ts';
import { decompressStream } from '../cms/compressed-data-stream.ts';
import { decryptStream } from '../cms/decrypt-stream.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { contentTypes } from '../cms/oids.ts';
import { peekContentType } from '../cms/peek-stream.ts';
import { readSignedStream } from '../cms/signed-data-stream.ts';
import { DigestedOctets, digestStream } from '../cms/stream-digests.ts';
import { verifySignatureOfStream } from '../cms/verify-stream.ts';
import { unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { readFrom } from '../mail/address.ts';
import type { Entity } from '../mail/entity.ts';
import { readEntityFrom, readRootFrom } from '../mail/entity-source.ts';
import { decodedBody } from '../mail/transfer-encoding.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import type { OctetSource, RereadableOctets, Spool } from '../octets/source.ts';
import { readClearSignedStream, signedForms } from './clear-signed-stream.ts';
import { HeldSpools } from './held-spools.ts';
import { isMailError, type MessageOpening, type OpeningContext, type ReaderKeys } from './open.ts';
import { judgedByFrom } from './protected-header.ts';
import { openedHeaderOf, streamToShow } from './protected-header-stream.ts';
import { isDeclaredCms, recognise } from './recognise.ts';
import type { Layer } from './report.ts';
import { unverifiable, type VerifiableContent, type VerificationContext, verifySigned } from './verify.ts';

/**
 * `openMessage` for a message of any size: the same rules, the same report. What is inside a layer waits in a spool until all of
 * the layer was found good.
 */
export type StreamOpening = Omit<MessageOpening, 'entity'> & {
  /** What to show; may be the message that was given, and is there until `discard`. */
  entity: OctetSource;
  /** Frees the spools behind `entity`. May be called again. */
  discard(): Promise<void>;
};

/** One layer taken off, or the end of the way. */
type Step =
  /** `shown`: what is inside replaces what is shown. A clear-signed entity is shown whole. */
  | { kind: 'inside'; layer: Layer; content: OctetSource; shown: boolean }
  | { kind: 'innermost'; layers: readonly Layer[] }
  | { kind: 'no-key' | 'failed'; layers: readonly Layer[] };

const INNERMOST: Step = { kind: 'innermost', layers: [] };

/**
 * @param message is read several times; has to last until the result is discarded
 * @param spool where the contents of layers wait
 * @throws as `openMessage`; the source's and the spool's own
 */
export async function openMessageStream(
  message: OctetSource,
  keys: ReaderKeys,
  context: OpeningContext,
  spool: Spool,
): Promise<StreamOpening> {
  const held = new HeldSpools(spool);
  try {
    return await openLayers(message, keys, context, held);
  } catch (error) {
    await held.discard();
    throw error;
  }
}

async function openLayers(
  original: OctetSource,
  keys: ReaderKeys,
  context: OpeningContext,
  held: HeldSpools,
): Promise<StreamOpening> {
  const layers: Layer[] = [];
  let outermost: Entity | null = null;
  const ends = async (outcome: MessageOpening['outcome'], entity: OctetSource): Promise<StreamOpening> => {
    if (entity === original) await held.discard();
    return {
      outcome,
      entity,
      header: null,
      from: outermost === null ? { kind: 'none' } : readFrom(outermost.fields),
      report: { layers },
      discard: () => held.discard(),
    };
  };
  let shown = original;
  let content = original;
  let verification: VerificationContext | null = null;
  const maxInflated = inflationBound(original.length);
  for (let depth = 0; depth <= limits.cms.layers; depth++) {
    const root = await readOrNull(content);
    // Beyond the bounds of what is read as mail: it has no further layers.
    if (root === null) return ends(shown === original ? 'as-is' : 'opened', shown);
    outermost ??= root;
    // The author is who the outermost header names, until a protected one is found.
    verification ??= { ...context, from: readFrom(root.fields) };
    const step = await takeOff(content, root, { keys, verification, maxInflated, spool: held });
    switch (step.kind) {
      case 'inside':
        layers.push(step.layer);
        content = step.content;
        if (step.shown) {
          shown = step.content;
          await held.keepOnly(step.content);
        }
        break;
      case 'innermost': {
        const replaces = shown !== original;
        if (step.layers.length === 0) {
          const found = await openedHeaderOf(content, root, outermost.fields, layers, replaces);
          if (found !== null) {
            if (!replaces) await held.discard();
            return {
              outcome: replaces ? 'opened' : 'as-is',
              entity: replaces ? await streamToShow(found.header, content, shown) : original,
              header: found.shown,
              from: found.from,
              report: { layers: judgedByFrom(layers, found.from), headerProtection: found.report },
              discard: () => held.discard(),
            };
          }
        }
        layers.push(...step.layers);
        return ends(replaces ? 'opened' : 'as-is', shown);
      }
      case 'no-key':
      case 'failed':
        layers.push(...step.layers);
        return ends(step.kind, original);
      default:
        unreachable(step);
    }
  }
  // More layers than anybody needs.
  return ends('failed', original);
}

/** What stays the same from layer to layer. */
type Reading = { keys: ReaderKeys; verification: VerificationContext; maxInflated: number; spool: Spool };

async function takeOff(message: OctetSource, root: Entity, reading: Reading): Promise<Step> {
  const kind = recognise({ root });
  switch (kind) {
    case 'none':
      return INNERMOST;
    case 'signed-clear':
      return takeOffClearSignature(message, root, reading);
    case 'enveloped':
    case 'auth-enveloped':
    case 'signed-opaque':
    case 'compressed':
    case 'certs-only':
      return takeOffCms(message, root, reading);
    default:
      return unreachable(kind);
  }
}

function takeOffClearSignature(message: OctetSource, root: Entity, reading: Reading): Promise<Step> {
  const unclear: Step = { kind: 'innermost', layers: [unverifiable(null, 'clear')] };
  return unlessUnreadable(unclear, async () => {
    const read = await readClearSignedStream(message, root);
    if (read === null) return unclear;
    const signedData = await readSignedStream(read.signature, reading.spool);
    // A signature that brings its own content (RFC 8551 §3.5.3.1 has it detached) invites readers to show that one.
    if (signedData.content !== null || signedData.signerInfos.length === 0) {
      await signedData.content?.discard();
      return { kind: 'innermost', layers: [unverifiable(signedData, 'clear')] };
    }
    const content = sliceOf(message, read.content.start, read.content.end);
    const forms = await signedForms(content, signedData.signerInfos);
    const layer = await verifySigned(signedData, forms.map(verifiable), 'clear', reading.verification);
    return { kind: 'inside', layer, content, shown: false };
  });
}

function verifiable(content: DigestedOctets): VerifiableContent {
  return {
    verify: (signedData, signerInfo, certificate) =>
      verifySignatureOfStream(signedData, signerInfo, content, certificate),
  };
}

async function takeOffCms(message: OctetSource, root: Entity, reading: Reading): Promise<Step> {
  // A file that only has the name of a CMS object may be anything.
  const unreadable: Step = isDeclaredCms(root.mediaType) ? { kind: 'failed', layers: [] } : INNERMOST;
  return unlessUnreadable(unreadable, async () => {
    const cms = decodedBody(sliceOf(message, root.body.start, root.body.end), root.transferEncoding);
    // What the CMS is counts, not what smime-type says it is.
    switch (await peekContentType(cms)) {
      case contentTypes.envelopedData:
      case contentTypes.authEnvelopedData:
        return takeOffEncryption(cms, reading);
      case contentTypes.signedData:
        return takeOffOpaqueSignature(cms, reading);
      case contentTypes.compressedData:
        return takeOffCompression(cms, reading);
      default:
        await requireDecodable(cms);
        return INNERMOST;
    }
  });
}

/**
 * Reads on to the end: damage to the transfer encoding counts before anything that is told from less than all octets, as it
 * does where they are all there.
 *
 * @throws SealgateError `mail.malformed-encoding`
 */
async function requireDecodable(cms: RereadableOctets): Promise<void> {
  await digestStream(cms.read(), []);
}

async function takeOffEncryption(cms: RereadableOctets, { keys, spool }: Reading): Promise<Step> {
  const held = typeof keys === 'function' ? await keys() : keys;
  try {
    const opened = await decryptStream(cms, held, spool);
    const { algorithm, authenticated } = opened;
    const layer = { kind: 'encrypted', algorithm, authenticated, outcome: opened.outcome } as const;
    if (opened.outcome !== 'opened') return { kind: opened.outcome, layers: [layer] };
    // RFC 8551 §3.3: a MIME entity; other contents are not mail.
    if (opened.contentType !== contentTypes.data) {
      return { kind: 'failed', layers: [{ ...layer, outcome: 'failed' }] };
    }
    return { kind: 'inside', layer, content: opened.content, shown: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await requireDecodable(cms);
    const layer: Layer = { kind: 'encrypted', algorithm: 'unknown', authenticated: false, outcome: 'failed' };
    return { kind: 'failed', layers: [layer] };
  }
}

/** RFC 8551 §3.6. The bound is that of the whole message, so that layers in layers do not multiply. */
async function takeOffCompression(cms: RereadableOctets, { maxInflated, spool }: Reading): Promise<Step> {
  const failed: Step = { kind: 'failed', layers: [{ kind: 'compressed', outcome: 'failed' }] };
  try {
    const unpacked = await decompressStream(cms, spool, maxInflated);
    if (unpacked.outcome === 'failed' || unpacked.contentType !== contentTypes.data) return failed;
    const layer: Layer = { kind: 'compressed', outcome: 'opened' };
    return { kind: 'inside', layer, content: unpacked.content, shown: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await requireDecodable(cms);
    return failed;
  }
}

async function takeOffOpaqueSignature(
  cms: RereadableOctets,
  { verification, spool }: Reading,
): Promise<Step> {
  const signedData = await readSignedStream(cms, spool);
  const { content, contentType, signerInfos, digests } = signedData;
  if (signerInfos.length === 0 && (content === null || content.length === 0)) {
    // RFC 8551 §3.8: certificates only.
    return { kind: 'innermost', layers: [await verifySigned(signedData, [], 'opaque', verification)] };
  }
  if (content === null || contentType !== contentTypes.data) {
    return { kind: 'innermost', layers: [unverifiable(signedData, 'opaque')] };
  }
  const signed = verifiable(new DigestedOctets(content, digests));
  const layer = await verifySigned(signedData, [signed], 'opaque', verification);
  return { kind: 'inside', layer, content, shown: true };
}

/**
 * The entity, with its parts only where they matter: those of multipart/signed. null: not readable as mail (bounds). What has no
 * layer is not read beyond its header, so bounds that its parts would meet make no difference.
 */
async function readOrNull(message: OctetSource): Promise<Entity | null> {
  try {
    const root = await readRootFrom(message);
    return recognise({ root }) === 'signed-clear' ? await readEntityFrom(message) : root;
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}

async function unlessUnreadable(otherwise: Step, run: () => Promise<Step>): Promise<Step> {
  try {
    return await run();
  } catch (error) {
    if (isUnreadable(error) || isMailError(error)) return otherwise;
    throw error;
  }
}
