import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { RevocationChecker } from '../pki/revocation-checker.ts';
import { decideInbound } from '../policy/decide-inbound.ts';
import { type MessageOpening, openMessage } from '../smime/open.ts';
import { harvestSigners } from './harvest.ts';
import { patientKeys } from './patient-keys.ts';
import type {
  CertificateDirectory,
  Clock,
  InboundStory,
  Keyring,
  OpenOutcome,
  OpenRequest,
} from './ports.ts';
import { oneAddress } from './sender.ts';

export type InboundParts = {
  keyring: Keyring;
  directory: CertificateDirectory;
  anchors: readonly Certificate[];
  intermediates: readonly Certificate[];
  /** Absent: revocation is known only from what a mail carries, and tolerated where it is not. */
  revocation?: { checker: RevocationChecker; failure: 'soft' | 'hard' };
  /** Whether an emailAddress in the subject of an old certificate counts (pki/speaks-for.ts); absent: no. */
  subjectEmailAddress?: boolean;
  clock: Clock;
  log: Log;
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
  const octets = await collect(request.octets.read());
  const at = parts.clock();
  // Asked only when a layer is encrypted, however deep it lies: a signed mail needs no key.
  const keys = async () =>
    patientKeys(await parts.keyring.decryptionKeys(principal, session), patience, parts.clock);
  const { anchors, intermediates: pool, revocation, subjectEmailAddress = false } = parts;
  const failure = revocation?.failure ?? 'soft';
  const opening = await openMessage(octets, keys, {
    ...{ at, anchors, pool, subjectEmailAddress },
    ...(revocation === undefined ? {} : { revocation: revocation.checker }),
  });
  // Nothing is judged or learnt twice: the mail is read anew once the key is there.
  const unseen = opening.outcome === 'no-key' ? parts.keyring.unseen(principal) : null;
  if (unseen !== null) return { kind: 'unavailable', key: true, publicText: unseen };
  const from = signedFrom(opening);
  if (from !== null) await harvestSigners(from, opening.report, at, parts.directory, parts.log, failure);
  return outcomeOf(opening, failure);
}

/** The one From address that the signatures were judged by, where there are any to learn from. */
function signedFrom({ from, report }: MessageOpening): string | null {
  return report.layers.some(({ kind }) => kind === 'signed') ? oneAddress(from) : null;
}

function outcomeOf(opening: MessageOpening, revocation: 'soft' | 'hard'): OpenOutcome {
  const { report, entity, header } = opening;
  switch (opening.outcome) {
    case 'as-is':
      return { kind: 'as-is', report: report.layers.length === 0 ? null : report };
    case 'opened':
      return {
        kind: 'opened',
        entity: bufferSource(entity),
        header,
        report,
        verdict: decideInbound(report, { revocation }),
      };
    case 'no-key':
      return { kind: 'no-key', report };
    case 'failed':
      return { kind: 'failed', report };
  }
}
