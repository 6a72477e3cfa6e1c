import { SealgateError, unreachable } from '../errors.ts';
import { readHeader } from '../mail/header.ts';
import { canonicalEntity, canonicalLines } from './canonical-entity.ts';
import { envelope } from './envelope.ts';
import { FAILED_NOTICE, NO_KEY_NOTICE, NOT_SMIME_NOTICE, warningOf } from './notices.ts';
import { type ProtectedFields, protectedFields, withProtectedFields } from './protected-fields.ts';
import { outerFields, shellFields } from './shape.ts';
import { statusBlock } from './status-block.ts';
import type { ViewNames } from './view-names.ts';
import type { ViewOutcome } from './view-outcome.ts';

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
 * Holds: the view has exactly as many octets as the original, so that every size the server has announced stays true;
 * the same input gives the same octets. Where the view cannot be that small, `overflow` is true and it is longer, which
 * no client minds (a size that promises too much makes clients drop the message).
 * Must never happen: decrypted octets outside a part of their own, but for an author's header fields; a part that the sender could close from inside.
 */
export type RenderRequest = {
  original: Buffer;
  outcome: ViewOutcome;
  boundary: string;
  names: ViewNames;
  /** What an earlier rendering of this stored message said: it keeps its words, or the bytes under its UID would change. */
  frozen?: Annotation;
};

/** What a rendering says about the message, apart from its content. */
export type Annotation = {
  kind: ViewOutcome['kind'];
  status: string;
  warning: string | null;
  /** null: the header is the stored one. */
  header: ShownHeader | null;
};

/** What listings have to say of a message that was opened, so that they agree with its view. */
export type ShownHeader = {
  fields: ProtectedFields;
  /** ENVELOPE (RFC 9051 §7.5.2) of the view. */
  envelope: string;
};

export type RenderedView = { octets: Buffer; overflow: boolean; annotation: Annotation };

/** Throws SealgateError `mail.header-too-large` when the original's header is, and `view.changed` against `frozen`. */
export function renderView(request: RenderRequest): RenderedView {
  const { original, boundary, names, frozen } = request;
  const { outcome, parts } = partsOf(request);
  if (frozen !== undefined && frozen.kind !== outcome.kind) throw viewChanged();
  const header = readHeader(original, 0, original.length);
  const stored = outerFields(original.subarray(0, header.range.end), names);
  const annotation = frozen ?? {
    kind: outcome.kind,
    status: statusBlock(outcome, names),
    warning: warningOf(outcome),
    header: shownHeader(outcome, stored),
  };
  if (annotation.warning !== null) parts.push(noticePart(annotation.warning));
  const fields = withProtectedFields(stored, annotation.header?.fields ?? null);
  const body = enclose(parts, boundary);
  const shell = shellFields(boundary);
  let head = headOf(annotation.status, fields, shell);
  if (head.length + body.length > original.length) {
    // Only these may go: no listing shows them, so that no listing contradicts the view.
    const needed = fields.filter((field) => !field.startsWith('X-Orig-'));
    head = headOf(annotation.status, needed, shell);
  }
  const room = original.length - head.length - body.length;
  if (room === 1) {
    // One octet makes no line: a second blank before the value of our own status field.
    head = Buffer.from(
      head.toString('latin1').replace(`${names.statusField}: `, `${names.statusField}:  `),
      'latin1',
    );
    return { octets: Buffer.concat([head, body]), overflow: false, annotation };
  }
  const octets = Buffer.concat([head, body, epilogue(Math.max(room, 0))]);
  return { octets, overflow: room < 0, annotation };
}

function shownHeader(outcome: ViewOutcome, stored: readonly string[]): ShownHeader | null {
  if (outcome.kind !== 'opened') return null;
  const { header } = outcome;
  if (header === undefined || header === null) return null;
  const fields = protectedFields(header);
  const all = Buffer.from(withProtectedFields(stored, fields).join(''), 'latin1');
  return { fields, envelope: envelope(readHeader(all, 0, all.length).fields) };
}

type Parts = { outcome: ViewOutcome; parts: Buffer[] };

/** The parts to show; content that cannot be shown safely turns the outcome into `failed`. */
function partsOf({ original, outcome, boundary }: RenderRequest): Parts {
  const failed: Parts = {
    outcome: { kind: 'failed', report: outcome.report ?? { layers: [] } },
    parts: [noticePart(FAILED_NOTICE)],
  };
  const found = contentParts(original, outcome);
  if (found === null || found.some((part) => part.indexOf(`--${boundary}`) !== -1)) return failed;
  return { outcome, parts: found };
}

/** null: nothing of it can be shown. */
function contentParts(original: Buffer, outcome: ViewOutcome): Buffer[] | null {
  switch (outcome.kind) {
    case 'opened':
      return orNull(() => [canonicalEntity(outcome.entity)]);
    case 'no-key':
      return [noticePart(NO_KEY_NOTICE), attachedOriginal(original)];
    case 'as-is':
      return [noticePart(NOT_SMIME_NOTICE), attachedOriginal(original)];
    case 'failed':
      return null;
    default:
      return unreachable(outcome);
  }
}

function orNull(make: () => Buffer[]): Buffer[] | null {
  try {
    return make();
  } catch (error) {
    // Content with too many parts or too large a header is not shown.
    if (error instanceof SealgateError) return null;
    throw error;
  }
}

function noticePart(text: string): Buffer {
  const fields = [
    'Content-Type: text/plain; charset=us-ascii',
    'Content-Transfer-Encoding: 7bit',
    'Content-Disposition: inline',
  ];
  return Buffer.from(`${fields.join('\r\n')}\r\n\r\n${text}`, 'latin1');
}

/** The stored body with its Content-* fields: the ciphertext stays within reach. */
function attachedOriginal(original: Buffer): Buffer {
  const header = readHeader(original, 0, original.length);
  const content = header.fields
    .filter((field) => field.name.toLowerCase().startsWith('content-'))
    .map((field) => canonicalLines(original.subarray(field.range.start, field.range.end)));
  return Buffer.concat([
    ...content,
    Buffer.from('\r\n'),
    canonicalLines(original.subarray(header.bodyStart)),
  ]);
}

function headOf(
  status: string,
  fields: readonly string[],
  shell: { mimeVersion: string; contentType: string },
): Buffer {
  return Buffer.from(`${status}${fields.join('')}${shell.mimeVersion}${shell.contentType}\r\n`, 'latin1');
}

/** The line end before a boundary belongs to the boundary (RFC 2046 §5.1.1): content keeps its own. */
function enclose(parts: readonly Buffer[], boundary: string): Buffer {
  const pieces: Buffer[] = [];
  for (const part of parts) pieces.push(Buffer.from(`--${boundary}\r\n`), part, Buffer.from('\r\n'));
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

const EPILOGUE_LINE = 'These blanks keep the size that the mail server has announced.\r\n';
const BLANKS = 76;

/** Exactly `octets` octets (not 1) that end with CRLF; MIME readers ignore them (RFC 2046 §5.1.1). */
function epilogue(octets: number): Buffer {
  const result = Buffer.alloc(octets, ' ');
  let at = 0;
  if (octets >= EPILOGUE_LINE.length + 2) at = result.write(EPILOGUE_LINE, 'latin1');
  while (octets - at > 0) {
    const left = octets - at;
    // The last line must not be a single octet.
    const line = left === BLANKS + 3 ? BLANKS : Math.min(left, BLANKS + 2);
    result.write('\r\n', at + line - 2, 'latin1');
    at += line;
  }
  return result;
}

function viewChanged(): SealgateError {
  return new SealgateError({
    code: 'view.changed',
    publicText: 'This message was shown differently before. Log in again to see it as it is now.',
    duration: 'permanent',
  });
}
