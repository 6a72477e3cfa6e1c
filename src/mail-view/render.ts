import { SealgateError, unreachable } from '../errors.ts';
import { limits } from '../limits.ts';
import { readRootFrom } from '../mail/entity-source.ts';
import { type Header, readHeader } from '../mail/header.ts';
import { bufferSource, octetsInMemory } from '../octets/buffer-source.ts';
import { collect, collectFrom } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import { OctetSearch } from '../octets/octet-search.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import { transformed } from '../octets/transform.ts';
import { type CanonicalEntity, canonicalEntity } from './canonical-entity.ts';
import { CleanLines, cleanLines } from './clean-lines.ts';
import { envelope } from './envelope.ts';
import { epilogue } from './epilogue.ts';
import { FAILED_NOTICE, NO_KEY_NOTICE, NOT_SMIME_NOTICE, REFUSED_NOTICE, warningOf } from './notices.ts';
import {
  type ProtectedFields,
  protectedFields,
  withProtectedFields,
  withSenderOf,
} from './protected-fields.ts';
import { outerFields, shellFields } from './shape.ts';
import { statusBlock } from './status-block.ts';
import { transparentBody } from './transparent.ts';
import type { ViewNames } from './view-names.ts';
import { isMalleable, type ViewOutcome } from './view-outcome.ts';

/**
 * The decrypted view of a stored message: a shell of constant shape around what was found in it.
 *
 *   status block
 *   stored header without Content-*, MIME-Version and status fields; DKIM-* and ARC-* renamed; protected header fields
 *     (RFC 9788) in the place of those outside
 *   MIME-Version: 1.0
 *   Content-Type: multipart/mixed; boundary=…
 *
 *   --…  the decrypted entity, or a notice (and the original, attached)
 *   --…  a warning, where there is something to warn of
 *   --…--
 *   epilogue of blanks
 *
 * The transparent shell has the decrypted entity's own Content-* fields and body in the place of ours, and the blanks in its
 * epilogue: where it is a multipart and there is nothing to warn of; else it is the shell above.
 *
 * Holds: a padded view has exactly as many octets as the original, so that every size the server has announced stays true;
 * the same input gives the same octets. Where the view cannot be that small, `overflow` is true and it is longer, which
 * no client minds (a size that promises too much makes clients drop the message). It needs memory for some chunks, however large.
 * Must never happen: decrypted octets outside a part of their own, but for an author's header fields; a part that the sender could close from inside.
 */
export type RenderRequest = {
  /** Read several times, never after the answer. */
  original: OctetSource;
  outcome: ViewOutcome;
  boundary: string;
  names: ViewNames;
  /** Absent: wrapped and padded. */
  form?: ViewForm;
  /** What an earlier rendering of this stored message said: it keeps its words and form, or the bytes under its UID would change. */
  frozen?: Annotation;
  /** Absent: warnings, and protected header fields are shown. */
  policy?: RenderPolicy;
  /** Where content waits that had to be made anew. */
  spool: Spool;
};

/** What is done with some messages, unless something was said of them before. */
export type RenderPolicy = {
  /** Of content that nobody has authenticated (EFAIL): see the configuration. */
  unauthenticated: 'warn' | 'text-only' | 'refuse';
  /** `ignore`: of protected header fields only the sender is shown. */
  protectedHeaders: 'promote' | 'ignore';
};

const USUAL: RenderPolicy = { unauthenticated: 'warn', protectedHeaders: 'promote' };

export type ViewForm = {
  shell: 'wrapped' | 'transparent';
  /** `off`: a view has the octets that it needs. */
  padding: 'on' | 'off';
};

/** Another one makes other octets of the same message and annotation. */
export const RENDERER_VERSION = 1;

/** What a rendering says about the message, apart from its content. */
export type Annotation = {
  kind: ViewOutcome['kind'];
  status: string;
  warning: string | null;
  /** null: the header is the stored one. */
  header: ShownHeader | null;
  /** MIME-Version and Content-* fields of a view in the transparent shell; null: the wrapped one. */
  transparent: readonly string[] | null;
  padding: ViewForm['padding'];
  /** Whether everything but plain text and pictures was made an attachment. */
  textOnly: boolean;
};

/** What listings have to say of a message that was opened, so that they agree with its view. */
export type ShownHeader = {
  fields: ProtectedFields;
  /** ENVELOPE (RFC 9051 §7.5.2) of the view. */
  envelope: string;
};

export type RenderedView = {
  octets: OctetSource;
  overflow: boolean;
  annotation: Annotation;
  /** Frees what was made for the view; what the outcome holds is somebody else's. */
  discard(): Promise<void>;
};

const WRAPPED: ViewForm = { shell: 'wrapped', padding: 'on' };

/**
 * @throws SealgateError `mail.header-too-large` when the original's header is, and `view.changed` against `frozen`; the sources' and
 *   the spool's own
 */
export async function renderView(request: RenderRequest): Promise<RenderedView> {
  const { frozen } = request;
  const content = await contentOf(request);
  try {
    if (frozen !== undefined && frozen.kind !== content.outcome.kind) throw viewChanged();
    const { octets, ...rendered } = await assemble(request, content);
    if (octets.length > limits.view.memoryOctets) return { ...rendered, octets, discard: content.discard };
    const whole = bufferSource(await collect(octets.read()));
    await content.discard();
    return { ...rendered, octets: whole, discard: NOTHING_TO_DISCARD };
  } catch (error) {
    await content.discard();
    throw error;
  }
}

const NOTHING_TO_DISCARD = async (): Promise<void> => undefined;

async function assemble(
  { original, names, boundary, form = WRAPPED, policy = USUAL, frozen }: RenderRequest,
  { outcome, parts, entity, textOnly }: Content,
): Promise<Omit<RenderedView, 'discard'>> {
  const header = await headerOf(original);
  const stored = outerFields(header.octets, names);
  const warning = frozen === undefined ? warningOf(outcome, policy.protectedHeaders) : frozen.warning;
  const wanted = frozen === undefined ? form.shell : frozen.transparent === null ? 'wrapped' : 'transparent';
  const bare =
    wanted === 'wrapped' || entity === null || warning !== null ? null : await transparentBody(entity);
  if (bare === null && wanted === 'transparent' && frozen !== undefined) throw viewChanged();
  const annotation: Annotation = frozen ?? {
    kind: outcome.kind,
    status: statusBlock(outcome, names),
    warning,
    header: shownHeader(outcome, stored, policy.protectedHeaders),
    transparent: bare?.fields ?? null,
    ...{ padding: form.padding, textOnly },
  };
  const wrapped = shellFields(boundary);
  const shell = annotation.transparent?.join('') ?? `${wrapped.mimeVersion}${wrapped.contentType}`;
  const pieces = [...parts, ...(warning === null ? [] : [noticePart(warning)])];
  const body = joinedSource(bare?.body ?? enclose(pieces, boundary));
  const fields = withProtectedFields(stored, annotation.header?.fields ?? null);
  let head = headOf(annotation.status, fields, shell);
  if (annotation.padding === 'off') {
    return { octets: joinedSource([bufferSource(head), body]), overflow: false, annotation };
  }
  if (head.length + body.length > original.length) {
    // Only these may go: no listing shows them, so that no listing contradicts the view.
    const needed = fields.filter((field) => !field.startsWith('X-Orig-'));
    head = headOf(annotation.status, needed, shell);
  }
  const room = original.length - head.length - body.length;
  if (room === 1) {
    // One octet makes no line: a second blank before the value of our own status field.
    const widened = head.toString('latin1').replace(`${names.statusField}: `, `${names.statusField}:  `);
    head = Buffer.from(widened, 'latin1');
  }
  const padding = room > 1 ? [epilogue(room)] : [];
  return { octets: joinedSource([bufferSource(head), body, ...padding]), overflow: room < 0, annotation };
}

function shownHeader(
  outcome: ViewOutcome,
  stored: readonly string[],
  protectedHeaders: RenderPolicy['protectedHeaders'],
): ShownHeader | null {
  if (outcome.kind !== 'opened') return null;
  const { header, report } = outcome;
  if (header === undefined || header === null) return null;
  // Signatures were judged by the sender inside.
  if (protectedHeaders === 'ignore' && report.headerProtection?.fromMismatch === false) return null;
  const inside = protectedFields(header);
  const fields = protectedHeaders === 'promote' ? inside : withSenderOf(inside, stored);
  const all = Buffer.from(withProtectedFields(stored, fields).join(''), 'latin1');
  return { fields, envelope: envelope(readHeader(all, 0, all.length).fields) };
}

/** The parts to show. `entity`: what was opened, where that is one of them. */
type Content = {
  outcome: ViewOutcome;
  parts: readonly OctetSource[];
  entity: CanonicalEntity | null;
  textOnly: boolean;
  discard(): Promise<void>;
};

/** Content that cannot be shown safely turns the outcome into `failed`. */
async function contentOf(request: RenderRequest): Promise<Content> {
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

function afterPolicy({ outcome, policy = USUAL, frozen }: RenderRequest): ViewOutcome {
  const refuses = frozen === undefined ? policy.unauthenticated === 'refuse' : frozen.kind === 'refused';
  return refuses && isUnauthenticated(outcome) ? { kind: 'refused', report: outcome.report } : outcome;
}

function isTextOnly({ policy = USUAL, frozen }: RenderRequest, outcome: ViewOutcome): boolean {
  return frozen?.textOnly ?? (policy.unauthenticated === 'text-only' && isUnauthenticated(outcome));
}

function isUnauthenticated(outcome: ViewOutcome): outcome is Extract<ViewOutcome, { kind: 'opened' }> {
  return outcome.kind === 'opened' && outcome.verdict.kind === 'unsigned' && isMalleable(outcome.report);
}

function failed({ report }: ViewOutcome): Content {
  return {
    outcome: { kind: 'failed', report: report ?? { layers: [] } },
    parts: [noticePart(FAILED_NOTICE)],
    ...{ entity: null, textOnly: false },
    discard: NOTHING_TO_DISCARD,
  };
}

/** null: too many parts, too large a header, or our boundary in it. */
async function canonicalOrNull(
  { boundary, spool }: RenderRequest,
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

async function withAttachment(request: RenderRequest, notice: string): Promise<Content> {
  const attached = await attachedOriginal(request);
  if (attached.holdsForbidden) {
    await attached.discard();
    return failed(request.outcome);
  }
  const { outcome } = request;
  const parts = [noticePart(notice), attached.part];
  return { outcome, parts, entity: null, textOnly: false, discard: attached.discard };
}

function noticePart(text: string): OctetSource {
  const fields = [
    'Content-Type: text/plain; charset=us-ascii',
    'Content-Transfer-Encoding: 7bit',
    'Content-Disposition: inline',
  ];
  return bufferSource(Buffer.from(`${fields.join('\r\n')}\r\n\r\n${text}`, 'latin1'));
}

/** The header of the original, with its fields. */
async function headerOf(original: OctetSource): Promise<Header & { octets: Buffer }> {
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
async function attachedOriginal({ original, spool, boundary }: RenderRequest) {
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

function headOf(status: string, fields: readonly string[], shell: string): Buffer {
  const head = Buffer.from(`${status}${fields.join('')}${shell}\r\n`, 'latin1');
  if (head.length > limits.mail.headerOctets) throw headerTooLarge();
  return head;
}

/** The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1): content keeps its own. */
function enclose(parts: readonly OctetSource[], boundary: string): OctetSource[] {
  const text = (latin1: string): OctetSource => bufferSource(Buffer.from(latin1, 'latin1'));
  const pieces = parts.flatMap((part, at) => [text(`${at === 0 ? '' : '\r\n'}--${boundary}\r\n`), part]);
  return [...pieces, text(`\r\n--${boundary}--\r\n`)];
}

function headerTooLarge(): SealgateError {
  return new SealgateError({
    code: 'mail.header-too-large',
    publicText: 'The header of this message is larger than this gateway shows.',
    duration: 'permanent',
  });
}

function viewChanged(): SealgateError {
  return new SealgateError({
    code: 'view.changed',
    publicText:
      'This message was shown differently before. Copy it into another folder and open it there to see it as it is now.',
    duration: 'permanent',
  });
}
