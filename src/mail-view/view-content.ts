import { SealgateError, unreachable } from '../errors.ts';
import { readRootFrom } from '../mail/entity-source.ts';
import { type Header, readHeader } from '../mail/header.ts';
import { bufferSource, octetsInMemory } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import { OctetSearch } from '../octets/octet-search.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import { transformed } from '../octets/transform.ts';
import { type CanonicalEntity, canonicalEntity } from './canonical-entity.ts';
import { CleanLines, cleanLines } from './clean-lines.ts';
import { FAILED_NOTICE, NO_KEY_NOTICE, NOT_SMIME_NOTICE, REFUSED_NOTICE } from './notices.ts';
import { isMalleable, type ViewOutcome } from './view-outcome.ts';

/** What of a message is shown in its view: what was found in it, or a notice with the message attached. */

/** What is done with some messages, unless something was said of them before. */
export type RenderPolicy = {
  /** Of content that nobody has authenticated (EFAIL): see the configuration. */
  unauthenticated: 'warn' | 'text-only' | 'refuse';
  /** `ignore`: of protected header fields only the sender is shown. */
  protectedHeaders: 'promote' | 'ignore';
};

export const USUAL_POLICY: RenderPolicy = { unauthenticated: 'warn', protectedHeaders: 'promote' };

export type ContentRequest = {
  original: OctetSource;
  outcome: ViewOutcome;
  boundary: string;
  policy?: RenderPolicy;
  /** What was made of it before. */
  frozen?: { kind: ViewOutcome['kind']; textOnly: boolean };
  spool: Spool;
};

/** The parts to show. `entity`: what was opened, where that is one of them. */
export type ViewContent = {
  outcome: ViewOutcome;
  parts: readonly OctetSource[];
  entity: CanonicalEntity | null;
  textOnly: boolean;
  discard(): Promise<void>;
};

const NOTHING_TO_DISCARD = async (): Promise<void> => undefined;

/** Content that cannot be shown safely turns the outcome into `failed`. */
export async function contentOf(request: ContentRequest): Promise<ViewContent> {
  const outcome = afterPolicy(request);
  switch (outcome.kind) {
    case 'opened': {
      const textOnly = isTextOnly(request, outcome);
      const entity = await canonicalOrNull(request, outcome.entity, textOnly);
      if (entity === null) return failed(outcome);
      return { outcome, parts: [entity.octets], entity, textOnly, discard: entity.discard };
    }
    case 'refused':
      return withAttachment({ ...request, outcome }, REFUSED_NOTICE);
    case 'no-key':
      return withAttachment(request, NO_KEY_NOTICE);
    case 'as-is':
      return withAttachment(request, NOT_SMIME_NOTICE);
    case 'failed':
      return failed(outcome);
    default:
      return unreachable(outcome);
  }
}

function afterPolicy({ outcome, policy = USUAL_POLICY, frozen }: ContentRequest): ViewOutcome {
  const refuses = frozen === undefined ? policy.unauthenticated === 'refuse' : frozen.kind === 'refused';
  return refuses && isUnauthenticated(outcome) ? { kind: 'refused', report: outcome.report } : outcome;
}

function isTextOnly({ policy = USUAL_POLICY, frozen }: ContentRequest, outcome: ViewOutcome): boolean {
  return frozen?.textOnly ?? (policy.unauthenticated === 'text-only' && isUnauthenticated(outcome));
}

function isUnauthenticated(outcome: ViewOutcome): outcome is Extract<ViewOutcome, { kind: 'opened' }> {
  return outcome.kind === 'opened' && outcome.verdict.kind === 'unsigned' && isMalleable(outcome.report);
}

function failed({ report }: ViewOutcome): ViewContent {
  return {
    outcome: { kind: 'failed', report: report ?? { layers: [] } },
    parts: [noticePart(FAILED_NOTICE)],
    ...{ entity: null, textOnly: false },
    discard: NOTHING_TO_DISCARD,
  };
}

/** null: too many parts, too large a header, or our boundary in it. */
async function canonicalOrNull(
  { boundary, spool }: ContentRequest,
  content: OctetSource,
  textOnly: boolean,
): Promise<CanonicalEntity | null> {
  try {
    const entity = await canonicalEntity(content, Buffer.from(`--${boundary}`), spool, textOnly);
    if (!entity.holdsForbidden) return entity;
    await entity.discard();
    return null;
  } catch (error) {
    if (error instanceof SealgateError && error.code.startsWith('mail.')) return null;
    throw error;
  }
}

async function withAttachment(request: ContentRequest, notice: string): Promise<ViewContent> {
  const attached = await attachedOriginal(request);
  if (attached.holdsForbidden) {
    await attached.discard();
    return failed(request.outcome);
  }
  const { outcome } = request;
  const parts = [noticePart(notice), attached.part];
  return { outcome, parts, entity: null, textOnly: false, discard: attached.discard };
}

export function noticePart(text: string): OctetSource {
  const fields = [
    'Content-Type: text/plain; charset=us-ascii',
    'Content-Transfer-Encoding: 7bit',
    'Content-Disposition: inline',
  ];
  return bufferSource(Buffer.from(`${fields.join('\r\n')}\r\n\r\n${text}`, 'latin1'));
}

/** The header of the original, with its fields. */
export async function headerOf(original: OctetSource): Promise<Header & { octets: Buffer }> {
  const whole = octetsInMemory(original);
  if (whole !== null) {
    const header = readHeader(whole, 0, whole.length);
    return { ...header, octets: whole.subarray(0, header.range.end) };
  }
  const { body } = await readRootFrom(original);
  const octets = await collectFrom(original, 0, body.start);
  const header = readHeader(octets, 0, octets.length);
  return { ...header, octets: octets.subarray(0, header.range.end) };
}

/** The stored body with its Content-* fields: the ciphertext stays within reach. It is copied, since the original goes. */
async function attachedOriginal({ original, spool, boundary }: ContentRequest) {
  const header = await headerOf(original);
  const content = header.fields
    .filter((field) => field.name.toLowerCase().startsWith('content-'))
    .map((field) => cleanLines(header.octets.subarray(field.range.start, field.range.end)));
  const head = Buffer.concat([...content, Buffer.from('\r\n')]);
  let holdsForbidden = false;
  const search = new OctetSearch(Buffer.from(`--${boundary}`), () => {
    holdsForbidden = true;
  });
  search.update(head);
  const writer = spool.begin();
  try {
    for await (const chunk of transformed(original.read(header.bodyStart), new CleanLines())) {
      search.update(chunk);
      await writer.write(chunk);
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  const body = await writer.finish();
  return { part: joinedSource([bufferSource(head), body]), holdsForbidden, discard: () => body.discard() };
}
