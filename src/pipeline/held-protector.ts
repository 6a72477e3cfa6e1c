import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { encryptedSpool } from '../octets/encrypted-spool.ts';
import type { Spool } from '../octets/source.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { certificateToUse } from '../policy/certificate-to-use.ts';
import { quoted } from '../policy/quoted.ts';
import {
  type AlgorithmSettings,
  cautiousAlgorithms,
  chooseEncryption,
  type Reader,
} from '../smime/algorithm-choice.ts';
import { HeldSpools } from '../smime/held-spools.ts';
import { readerProblem } from '../smime/pinned-algorithms.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { type AddressAlgorithms, algorithmsFor } from './address-algorithms.ts';
import type { CertificateDirectory, Clock, OwnCertificate, RevocationUse } from './ports.ts';
import { encryptionBy, type Workplace } from './protecting.ts';
import { addressOf, certificatesNow } from './recipient-certificates.ts';
import { broken } from './variant-algorithms.ts';
import type { HeldContent, HeldProtection, HeldProtector } from './waiting.ts';

export type HeldProtectorParts = {
  directory: CertificateDirectory;
  /** Cautious ones when absent. */
  algorithms?: AlgorithmSettings;
  addressAlgorithms?: readonly AddressAlgorithms[];
  /** Absent: revocation is not looked at. */
  revocation?: RevocationUse;
  /** What is not longer is encrypted in memory; `limits.outbound.memoryOctets` when absent. */
  memoryOctets?: number;
  /** Where longer messages are encrypted; encrypted files in the system's folder for temporary ones when absent. */
  spool?: Spool;
  clock: Clock;
  log: Log;
};

type Mail = Parameters<HeldProtector['protect']>[0];

/**
 * What a mail that waits is to one of its recipients now: judged by the code that judges mail on its way, by the terms that its rule had.
 *
 * Must never happen: a message for anybody but this recipient and the sender; one that is encrypted to a certificate which the terms do
 * not trust, or which is revoked by now; an outage that is taken for "there is none".
 */
export function heldProtector(parts: HeldProtectorParts): HeldProtector {
  const { spool = encryptedSpool() } = parts;
  return {
    async protect(mail, recipient, content) {
      const found = await orLater(mail, parts, () => findReader(mail, recipient, parts));
      if (found.kind !== 'reader') return found;
      const held = await content();
      return orLater(mail, parts, () => encryptTo(found, held, mail, { ...parts, spool }));
    },
  };
}

type FoundReader = { kind: 'reader'; reader: Reader; at: Date };

async function findReader(
  { terms }: Mail,
  recipient: Recipient,
  { directory, algorithms = cautiousAlgorithms, revocation, clock, log }: HeldProtectorParts,
): Promise<FoundReader | HeldProtection> {
  const { postQuantum } = algorithms;
  const address = addressOf(recipient);
  const at = clock();
  const use = { postQuantum, ...(revocation === undefined ? {} : { revocation }) };
  const certificates = await certificatesNow(directory, address, at, log, use);
  const found = certificateToUse(terms, certificates);
  if (found.kind === 'lacking') return { kind: 'waiting', because: found.because };
  if (found.kind === 'outage') return { kind: 'later', error: unknownNow(address, found.refusal.problem) };
  const reader = certificates.kind === 'usable' ? certificates.certificates[found.certificate] : undefined;
  if (reader === undefined) throw broken('decided to encrypt without a certificate');
  const problem = terms.algorithms === null ? null : readerProblem(terms.algorithms, reader);
  if (problem === null) return { kind: 'reader', reader, at };
  const because = `it cannot be encrypted as the rule ${terms.rule} demands: ${quoted(problem, 300)}`;
  return { kind: 'waiting', because };
}

async function encryptTo(
  { reader, at }: FoundReader,
  { encryptable, headerProtection, own }: HeldContent,
  { from, login, terms }: Mail,
  parts: HeldProtectorParts & { spool: Spool },
): Promise<HeldProtection> {
  const { algorithms = cautiousAlgorithms, addressAlgorithms = [], revocation, spool } = parts;
  const { memoryOctets = limits.outbound.memoryOctets } = parts;
  const settings = algorithmsFor(algorithms, addressAlgorithms, login, from);
  const { postQuantum } = settings;
  const mine = await stillUsable(own, at, postQuantum, revocation);
  const choice = chooseEncryption([reader], mine?.certificate ?? null, {
    ...settings,
    pins: terms.algorithms,
  });
  const held = new HeldSpools(spool);
  const where: Workplace =
    encryptable.length > memoryOctets ? { kind: 'in-spool', spool: held } : { kind: 'in-memory' };
  const octets = await encryptionBy(choice, postQuantum, where)(encryptable, headerProtection);
  return { kind: 'ready', octets, discard: () => held.discard().catch(() => undefined) };
}

/** What cannot be done now may be possible later, until the mail expires; nothing leaves otherwise. */
async function orLater<T>(
  { id }: Mail,
  { log }: HeldProtectorParts,
  work: () => Promise<T>,
): Promise<T | Extract<HeldProtection, { kind: 'later' }>> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SealgateError) {
      // Of what was kept: no later time reads it.
      if (error.code === 'queue.damaged') throw error;
      return { kind: 'later', error };
    }
    const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.write({ event: 'gateway.defect', level: 'error', where: 'pipeline/held-protector', error: trace });
    return { kind: 'later', error: broken(`mail ${id} could not be encrypted`) };
  }
}

/** The sender's copy is a courtesy now: whoever has stolen her key since could read the mail, so it goes without her. */
async function stillUsable(
  own: OwnCertificate | null,
  at: Date,
  postQuantum: boolean,
  revocation: RevocationUse | undefined,
): Promise<OwnCertificate | null> {
  if (own === null || mayCertificateEncrypt(own.certificate, at, postQuantum).kind !== 'may') return null;
  const stands = await revocation?.standing.of(own.certificate);
  return stands?.kind === 'revoked' ? null : own;
}

function unknownNow(address: string, problem: string): SealgateError {
  return new SealgateError({
    code: 'directory.unavailable',
    duration: 'temporary',
    publicText: `To ${quoted(address)}: ${problem}.`,
  });
}
