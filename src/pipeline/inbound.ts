import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import { TrustAnchors } from '../pki/trust-anchors.ts';
import { decideInbound, type InboundPolicy } from '../policy/decide-inbound.ts';
import { type OpeningContext, openMessage, type ReaderKeys } from '../smime/open.ts';
import { openMessageStream, type StreamOpening } from '../smime/open-stream.ts';
import type { SecurityReport } from '../smime/report.ts';
import { harvestSigners } from './harvest.ts';
import { notedKeys } from './noted-keys.ts';
import { patientKeys } from './patient-keys.ts';
import type {
  CertificateDirectory,
  Clock,
  InboundStory,
  Keyring,
  OpeningKey,
  OpenOutcome,
  OpenRequest,
  SignerDecision,
  SignerDecisions,
} from './ports.ts';
import { oneAddress } from './sender.ts';

export type InboundParts = {
  keyring: Keyring;
  directory: CertificateDirectory;
  /** With what each is believed for; without that, any. */
  anchors: readonly Certificate[] | TrustAnchors;
  intermediates: readonly Certificate[];
  /** Absent: revocation is known only from what a mail carries, and tolerated where it is not. */
  revocation?: { checker: RevocationChecker; failure: 'soft' | 'hard' };
  /** Absent: nobody has decided anything about a signer. */
  decisions?: SignerDecisions;
  /** Whether an emailAddress in the subject of an old certificate counts (pki/speaks-for.ts); absent: no. */
  subjectEmailAddress?: boolean;
  clock: Clock;
  log: Log;
  /** Where the contents of large mails wait; absent: in encrypted files in the system's folder. */
  spool?: Spool;
  /** Mails that are not longer are opened in memory, which is quicker for small ones; absent: `limits.view.memoryOctets`. */
  memoryOctets?: number;
};

/**
 * The way in, on reading: recognise -> decrypt -> verify -> assess -> judge -> harvest.
 *
 * Holds: only the root entity is opened, with the keys of the reading principal alone.
 * Must never happen: plaintext before it is authentic; a reason of failure that an attacker could tell from another;
 * something shown in the place of a message whose key is only away for now.
 */
export function inboundStory(parts: InboundParts): InboundStory {
  return {
    async open(request: OpenRequest): Promise<OpenOutcome> {
      try {
        return await open(request, parts);
      } catch (error) {
        if (!(error instanceof SealgateError)) throw error;
        const { code, duration, publicText } = error;
        // What a key says is never about the mail: a PIN that is wrong for good may be right tomorrow.
        const key = code.startsWith('key.');
        if (!key && duration === 'permanent') throw error;
        return { kind: 'unavailable', key, publicText };
      }
    },
  };
}

async function open(request: OpenRequest, parts: InboundParts): Promise<OpenOutcome> {
  const { session, principal, patience } = request;
  const at = parts.clock();
  const used = new Set<OpeningKey>();
  // Asked only when a layer is encrypted, however deep it lies: a signed mail needs no key.
  const keys = async () => {
    if (request.withoutKeys === true) return [];
    const own = await parts.keyring.decryptionKeys(principal, session);
    return patientKeys(notedKeys(own, used), patience, parts.clock);
  };
  const opening = await openOriginal(request.octets, keys, parts, at);
  try {
    const outcome = await judged(opening, request, parts, at);
    return outcome.kind === 'opened' ? { ...outcome, keys: [...used] } : outcome;
  } catch (error) {
    await opening.discard();
    throw error;
  }
}

/** In memory or in spools, whose outcomes are the same (smime/layers.ts has the rules for both). What it gives is to be discarded. */
export async function openOriginal(
  message: OctetSource,
  keys: ReaderKeys,
  parts: InboundParts,
  at: Date,
): Promise<StreamOpening> {
  const { intermediates: pool, revocation, subjectEmailAddress = false } = parts;
  const { memoryOctets = limits.view.memoryOctets, spool = encryptedSpool() } = parts;
  const context: OpeningContext = {
    ...{ at, anchors: signingAnchors(parts.anchors), pool, subjectEmailAddress },
    ...(revocation === undefined ? {} : { revocation: revocation.checker }),
  };
  if (message.length > memoryOctets) return openMessageStream(message, keys, context, spool);
  const opening = await openMessage(await collectFrom(message), keys, context);
  return { ...opening, entity: bufferSource(opening.entity), discard: async () => undefined };
}

async function judged(
  opening: StreamOpening,
  { principal, withoutKeys }: OpenRequest,
  parts: InboundParts,
  at: Date,
): Promise<OpenOutcome> {
  const failure = parts.revocation?.failure ?? 'soft';
  // Nothing is judged or learnt twice: the mail is read anew once the key is there.
  const unseen =
    opening.outcome === 'no-key' && withoutKeys !== true ? parts.keyring.unseen(principal) : null;
  if (unseen !== null) {
    await opening.discard();
    return { kind: 'unavailable', key: true, publicText: unseen };
  }
  const from = signedFrom(opening);
  if (from !== null) await harvestFrom(from, opening, parts, at);
  const decisions = await decisionsAbout(opening.report, parts.decisions);
  const outcome = outcomeOf(opening, { revocation: failure, decisions });
  if (outcome.kind !== 'opened') await opening.discard();
  return outcome;
}

/** @param from as `signedFrom` gives it */
export async function harvestFrom(
  from: string,
  { report }: Pick<StreamOpening, 'report'>,
  { anchors, revocation, directory, log }: InboundParts,
  at: Date,
): Promise<void> {
  // What is believed of a signature need not be believed of what mail is encrypted to.
  const vouches = (path: readonly Certificate[]) => {
    if (!(anchors instanceof TrustAnchors)) return true;
    const believed = anchors.for('encryption', from);
    return path.slice(-1).every((anchor) => believed.has(anchor)) && !path.some((one) => believed.bars(one));
  };
  const judging = { at, revocation: revocation?.failure ?? 'soft', vouches };
  await harvestSigners(from, report, judging, directory, log);
}

/** The one From address that the signatures were judged by, where there are any to learn from. */
export function signedFrom({ from, report }: StreamOpening): string | null {
  return report.layers.some(({ kind }) => kind === 'signed') ? oneAddress(from) : null;
}

function signingAnchors(anchors: InboundParts['anchors']): OpeningContext['anchors'] {
  return anchors instanceof TrustAnchors ? (address) => anchors.for('signing', address) : anchors;
}

/** What people have said of those who signed. */
async function decisionsAbout(
  { layers }: SecurityReport,
  asked: SignerDecisions | undefined,
): Promise<ReadonlyMap<string, SignerDecision>> {
  const decisions = new Map<string, SignerDecision>();
  if (asked === undefined) return decisions;
  const signatures = layers.flatMap((layer) => (layer.kind === 'signed' ? layer.signatures : []));
  for (const { signer } of signatures) {
    const decision = signer === null ? null : await asked.of(signer.fingerprint, signer.subjectPublicKeyInfo);
    if (signer !== null && decision !== null) decisions.set(signer.fingerprint, decision);
  }
  return decisions;
}

function outcomeOf(opening: StreamOpening, policy: InboundPolicy): OpenOutcome {
  const { report, entity, header, discard } = opening;
  switch (opening.outcome) {
    case 'as-is':
      return report.layers.length === 0
        ? { kind: 'as-is', report: null }
        : { kind: 'as-is', report, verdict: decideInbound(report, policy) };
    case 'opened':
      return {
        kind: 'opened',
        ...{ entity, discard },
        header,
        report,
        verdict: decideInbound(report, policy),
      };
    case 'no-key':
      return { kind: 'no-key', report };
    case 'failed':
      return { kind: 'failed', report };
  }
}
