import { inflationBound } from '../cms/compressed-data.ts';
import type { DecryptionKey } from '../cms/keys.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { contentTypes } from '../cms/oids.ts';
import { unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { type FromHeader, readFrom } from '../mail/address.ts';
import type { Entity } from '../mail/entity.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import type { LayerOctets } from './layer-octets.ts';
import { isMailError } from './mail-error.ts';
import { judgedByFrom } from './protected-header.ts';
import { isDeclaredCms, recognise } from './recognise.ts';
import type { Layer, SecurityReport } from './report.ts';
import { type Anchors, unverifiable, type VerificationContext, verifySigned } from './verify.ts';

/**
 * Opens a message layer by layer, outermost first: decrypts, unwraps, verifies, and reports what it found. The rules are here;
 * open.ts has the octets in memory, open-stream.ts in files.
 *
 * Holds: only the root entity is opened, and what that reveals. A protected part next to other parts never is: who put
 * the others there would get the plaintext into a frame of his own (EFAIL).
 * Must never happen: plaintext of a layer that failed; a failure that says why (RFC 3218 §2.3); content given out that
 * no layer of this message held.
 */

export type OpeningContext = {
  /** Now. */
  at: Date;
  /** A function: which ones may speak for this address; null where the message is not from one. */
  anchors: Anchors;
  /** Intermediates and signers' certificates that may not be in the message; nothing in it is believed. */
  pool: Iterable<Certificate>;
  /** Who finds evidence of revocation; absent: only the CRLs that the message carries are asked. */
  revocation?: RevocationChecker;
  /** Whether an emailAddress in the subject of an old certificate counts (pki/speaks-for.ts); absent: no. */
  subjectEmailAddress?: boolean;
};

/** Every key the reader ever held; asked for only when a layer is encrypted, where it is a function. */
export type ReaderKeys = readonly DecryptionKey[] | (() => Promise<readonly DecryptionKey[]>);

export type Opening<Content> = {
  /**
   * `as-is`: nothing to take off, the original is to be shown; clear-signed mail is verified and stays as it is.
   * `no-key`: a layer is encrypted to others. `failed`: a layer is damaged.
   */
  outcome: 'as-is' | 'opened' | 'no-key' | 'failed';
  /** What to show: the entity inside (`opened`), else the message itself. */
  entity: Content;
  /**
   * Header fields to be shown in the place of those outside, lines (RFC 9788 §4); null: those outside are shown. Only the
   * fields of `header-protection-fields.ts` are among them.
   */
  header: Buffer | null;
  /** The author by the header that is to be shown: whom the report's signatures are judged by. */
  from: FromHeader;
  report: SecurityReport;
};

/**
 * @param octets how long the message is
 * @throws SealgateError only for keys that are away for now (`key.unavailable`, temporary), and what reading the octets themselves
 *   throws; everything a message can contain is an outcome
 */
export async function openLayers<Content, Cms>(
  original: Content,
  octets: number,
  keys: ReaderKeys,
  context: OpeningContext,
  having: LayerOctets<Content, Cms>,
): Promise<Opening<Content>> {
  const layers: Layer[] = [];
  let outermost: Entity | null = null;
  const ends = (outcome: Opening<Content>['outcome'], entity: Content): Opening<Content> => ({
    outcome,
    entity,
    header: null,
    from: outermost === null ? { kind: 'none' } : readFrom(outermost.fields),
    report: { layers },
  });
  let shown = original;
  let content = original;
  let verification: VerificationContext | null = null;
  const maxInflated = inflationBound(octets);
  for (let depth = 0; depth <= limits.cms.layers; depth++) {
    const root = await having.root(content);
    // Beyond the bounds of what is read as mail: it has no further layers.
    if (root === null) return ends(shown === original ? 'as-is' : 'opened', shown);
    outermost ??= root;
    // The author is who the outermost header names, until a protected one is found.
    verification ??= { ...context, from: readFrom(root.fields) };
    const step = await takeOff(content, root, { having, keys, verification, maxInflated });
    switch (step.kind) {
      case 'inside':
        layers.push(step.layer);
        content = step.content;
        if (step.shown) {
          shown = step.content;
          await having.shows(shown);
        }
        break;
      case 'innermost': {
        const replaces = shown !== original;
        if (step.layers.length === 0) {
          const payload = { content, root, outer: outermost.fields, replaces };
          const found = await having.header(payload, layers);
          if (found !== null) {
            return {
              outcome: replaces ? 'opened' : 'as-is',
              entity: replaces ? await having.toShow(found.header, content, shown) : original,
              header: found.shown,
              from: found.from,
              report: { layers: judgedByFrom(layers, found.from, context), headerProtection: found.report },
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

/** One layer taken off, or the end of the way. */
type Step<Content> =
  /** `shown`: what is inside replaces what is shown. A clear-signed entity is shown whole. */
  | { kind: 'inside'; layer: Layer; content: Content; shown: boolean }
  | { kind: 'innermost'; layers: readonly Layer[] }
  | { kind: 'no-key' | 'failed'; layers: readonly Layer[] };

const INNERMOST = { kind: 'innermost', layers: [] } as const;

/** What stays the same from layer to layer. */
type Reading<Content, Cms> = {
  having: LayerOctets<Content, Cms>;
  keys: ReaderKeys;
  verification: VerificationContext;
  maxInflated: number;
};

async function takeOff<Content, Cms>(
  content: Content,
  root: Entity,
  reading: Reading<Content, Cms>,
): Promise<Step<Content>> {
  const kind = recognise({ root });
  switch (kind) {
    case 'none':
      return INNERMOST;
    case 'signed-clear':
      return takeOffClearSignature(content, root, reading);
    case 'enveloped':
    case 'auth-enveloped':
    case 'signed-opaque':
    case 'compressed':
    case 'certs-only':
      return takeOffCms(content, root, reading);
    default:
      return unreachable(kind);
  }
}

function takeOffClearSignature<Content, Cms>(
  message: Content,
  root: Entity,
  { having, verification }: Reading<Content, Cms>,
): Promise<Step<Content>> {
  const unclear = { kind: 'innermost', layers: [unverifiable(null, 'clear')] } as const;
  return unlessUnreadable<Content>(unclear, async () => {
    const read = await having.clearSigned(message, root);
    if (read === null) return unclear;
    const { signedData, attached, content } = read;
    // A signature that brings its own content (RFC 8551 §3.5.3.1 has it detached) invites readers to show that one.
    if (attached || signedData.signerInfos.length === 0) {
      return { kind: 'innermost', layers: [unverifiable(signedData, 'clear')] };
    }
    const layer = await verifySigned(signedData, await read.forms(), 'clear', verification);
    return { kind: 'inside', layer, content, shown: false };
  });
}

function takeOffCms<Content, Cms>(
  message: Content,
  root: Entity,
  reading: Reading<Content, Cms>,
): Promise<Step<Content>> {
  const { having } = reading;
  // A file that only has the name of a CMS object may be anything.
  const unreadable = isDeclaredCms(root.mediaType) ? ({ kind: 'failed', layers: [] } as const) : INNERMOST;
  return unlessUnreadable<Content>(unreadable, async () => {
    const cms = having.cms(message, root);
    // What the CMS is counts, not what smime-type says it is.
    switch (await having.contentType(cms)) {
      case contentTypes.envelopedData:
      case contentTypes.authEnvelopedData:
        return takeOffEncryption(cms, reading);
      case contentTypes.signedData:
        return takeOffOpaqueSignature(cms, reading);
      case contentTypes.compressedData:
        return takeOffCompression(cms, reading);
      default:
        await having.requireDecodable(cms);
        return INNERMOST;
    }
  });
}

async function takeOffEncryption<Content, Cms>(
  cms: Cms,
  { having, keys }: Reading<Content, Cms>,
): Promise<Step<Content>> {
  const held = typeof keys === 'function' ? await keys() : keys;
  try {
    const opened = await having.decrypt(cms, held);
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
    await having.requireDecodable(cms);
    const layer: Layer = { kind: 'encrypted', algorithm: 'unknown', authenticated: false, outcome: 'failed' };
    return { kind: 'failed', layers: [layer] };
  }
}

/** RFC 8551 §3.6. The bound is that of the whole message, so that layers in layers do not multiply. */
async function takeOffCompression<Content, Cms>(
  cms: Cms,
  { having, maxInflated }: Reading<Content, Cms>,
): Promise<Step<Content>> {
  const failed = { kind: 'failed', layers: [{ kind: 'compressed', outcome: 'failed' }] } as const;
  try {
    const unpacked = await having.decompress(cms, maxInflated);
    if (unpacked.outcome === 'failed' || unpacked.contentType !== contentTypes.data) return failed;
    const layer: Layer = { kind: 'compressed', outcome: 'opened' };
    return { kind: 'inside', layer, content: unpacked.content, shown: true };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    await having.requireDecodable(cms);
    return failed;
  }
}

async function takeOffOpaqueSignature<Content, Cms>(
  cms: Cms,
  { having, verification }: Reading<Content, Cms>,
): Promise<Step<Content>> {
  const { signedData, content } = await having.opaqueSigned(cms);
  if (signedData.signerInfos.length === 0 && (content === null || content.length === 0)) {
    // RFC 8551 §3.8: certificates only.
    return { kind: 'innermost', layers: [await verifySigned(signedData, [], 'opaque', verification)] };
  }
  if (content === null || signedData.contentType !== contentTypes.data) {
    return { kind: 'innermost', layers: [unverifiable(signedData, 'opaque')] };
  }
  const layer = await verifySigned(signedData, [content.verifiable], 'opaque', verification);
  return { kind: 'inside', layer, content: content.octets, shown: true };
}

async function unlessUnreadable<Content>(
  otherwise: Step<Content>,
  run: () => Promise<Step<Content>>,
): Promise<Step<Content>> {
  try {
    return await run();
  } catch (error) {
    if (isUnreadable(error) || isMailError(error)) return otherwise;
    throw error;
  }
}
