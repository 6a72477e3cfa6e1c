import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { readHeader } from '../mail/header.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import { envelope } from './envelope.ts';
import { epilogue } from './epilogue.ts';
import { warningOf } from './notices.ts';
import {
  type ProtectedFields,
  protectedFields,
  withProtectedFields,
  withSenderOf,
} from './protected-fields.ts';
import { outerFields, shellFields } from './shape.ts';
import { statusBlock } from './status-block.ts';
import { transparentBody } from './transparent.ts';
import {
  contentOf,
  headerOf,
  noticePart,
  type RenderPolicy,
  USUAL_POLICY,
  type ViewContent,
} from './view-content.ts';
import type { ViewNames } from './view-names.ts';
import type { ViewOutcome } from './view-outcome.ts';

export type { RenderPolicy };

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

export type ViewForm = {
  /** `bare`: as `transparent`, whatever the entity is: for what nothing is padded with. */
  shell: 'wrapped' | 'transparent' | 'bare';
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
  { original, names, boundary, form = WRAPPED, policy = USUAL_POLICY, frozen }: RenderRequest,
  { outcome, parts, entity, textOnly }: ViewContent,
): Promise<Omit<RenderedView, 'discard'>> {
  const header = await headerOf(original);
  const stored = outerFields(header.octets, names);
  const warning = frozen === undefined ? warningOf(outcome, policy.protectedHeaders) : frozen.warning;
  const wanted = frozen === undefined ? form.shell : frozen.transparent === null ? 'wrapped' : 'transparent';
  const bare =
    wanted === 'wrapped' || entity === null || warning !== null
      ? null
      : await transparentBody(entity, wanted === 'bare');
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
