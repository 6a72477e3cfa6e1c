import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { sevenBitSafeFrom } from '../mail/seven-bit-safe-source.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource, Spool, SpooledOctets } from '../octets/source.ts';
import type { OpenOutcome } from '../pipeline/ports.ts';
import { withAsciiHeader } from './ascii-header.ts';
import { clearSignedStatus } from './clear-signed-overlay.ts';
import { HeaderCleaner, withoutForgedStatus } from './forged-status.ts';
import { type RenderPolicy, renderView } from './render.ts';
import { type ViewNames, viewBoundary } from './view-names.ts';

export type DeliveredRequest = {
  original: OctetSource;
  outcome: Exclude<OpenOutcome, { kind: 'unavailable' }>;
  /** Names no other mail. */
  mail: string;
  /** Nothing of what was opened may have eight bits. */
  sevenBit: boolean;
  /** Nor may its header, but for addresses that have no other form. */
  asciiHeader: boolean;
};

export type DeliveredView = {
  octets: OctetSource;
  /** Whether it is what was opened. */
  opened: boolean;
  discard(): Promise<void>;
};

export type DeliveredParts = {
  names: ViewNames;
  /** Of the installation; boundaries come from it. */
  secret: Buffer;
  policy: RenderPolicy;
  spool: Spool;
};

/**
 * A mail as it is delivered: what was opened, with what was found on top of it, or what came.
 *
 * Holds: what cannot be shown as it was opened is delivered as it came; a clear-signed mail keeps every octet behind its status.
 * Must never happen: a status in it that this gateway has not just found.
 */
export async function deliveredView(
  { original, outcome, mail, sevenBit, asciiHeader }: DeliveredRequest,
  { names, secret, policy, spool }: DeliveredParts,
): Promise<DeliveredView> {
  const status = clearSignedStatus(outcome, names);
  const asItCame = async () => untouched(await cleanOf(original, names, spool), status);
  if (outcome.kind !== 'opened') return asItCame();
  try {
    const entity = sevenBit ? await sevenBitSafeFrom(outcome.entity) : outcome.entity;
    const rendered = await renderView({
      ...{ original, outcome: { ...outcome, entity }, names, policy, spool },
      boundary: viewBoundary(secret, 'delivery', mail),
      form: { shell: 'bare', padding: 'off' },
    });
    if (rendered.annotation.kind === 'opened') {
      if (!asciiHeader) return { ...rendered, opened: true };
      const octets = await withAsciiHeader(rendered.octets).catch(async (error: unknown) => {
        await rendered.discard();
        throw error;
      });
      return { ...rendered, octets, opened: true };
    }
    await rendered.discard();
  } catch (error) {
    if (!(error instanceof SealgateError && error.code.startsWith('mail.'))) throw error;
  }
  return asItCame();
}

/** Where the header begins with a continuation, it would be one of ours below a status (RFC 5322 §2.2.3). */
function untouched({ octets, begins, discard }: Clean, status: string): DeliveredView {
  const mayStand = status !== '' && begins !== ' ' && begins !== '\t';
  return {
    octets: mayStand ? joinedSource([bufferSource(Buffer.from(status, 'latin1')), octets]) : octets,
    opened: false,
    discard,
  };
}

type Clean = { octets: OctetSource; begins: string; discard(): Promise<void> };

async function cleanOf(original: OctetSource, names: ViewNames, spool: Spool): Promise<Clean> {
  const beginning = await collectFrom(original, 0, Math.min(original.length, limits.mail.headerOctets));
  const begins = beginning.toString('latin1', 0, 1);
  if (beginning.length < original.length && !endsHeader(beginning)) {
    const copy = await cleanCopy(original, names, spool);
    return { octets: copy, begins, discard: () => copy.discard() };
  }
  const clean = withoutForgedStatus(beginning, names);
  const octets =
    clean === beginning
      ? original
      : joinedSource([bufferSource(clean), sliceOf(original, clean.length, original.length)]);
  return { octets, begins, discard: async () => undefined };
}

/** Whether the empty line is in there. */
function endsHeader(beginning: Buffer): boolean {
  return /(?:^|\n)\r?\n/.test(beginning.toString('latin1'));
}

/** Of a header that is larger than any that is held in memory. */
async function cleanCopy(original: OctetSource, names: ViewNames, spool: Spool): Promise<SpooledOctets> {
  const cleaner = new HeaderCleaner(names);
  const writer = spool.begin();
  try {
    for await (const chunk of original.read()) await writer.write(cleaner.clean(chunk));
    return await writer.finish();
  } catch (error) {
    await writer.discard();
    throw error;
  }
}
