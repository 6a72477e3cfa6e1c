import type { HeaderField } from '../mail/entity.ts';
import { readHeader } from '../mail/header.ts';
import { mayHoldForgery, withoutForgedStatus } from './forged-status.ts';
import { canonicalField, nameOf, type ProtectedFields, withProtectedFields } from './protected-fields.ts';
import type { ViewNames } from './view-names.ts';

/**
 * The header of the shell, and what a listing sees of it.
 *
 * Holds: what a listing shows of a message's Content-* fields needs no key and equals what the rendered view has,
 * because both come from `outerFields` and `shellFields`. Of what was protected only an author's fields become fields of this
 * header, in protected-fields.ts: never one that servers or this gateway write.
 */

const CRLF = '\r\n';

/** The two fields that make the shell, in their order. */
export function shellFields(boundary: string): { mimeVersion: string; contentType: string } {
  return {
    mimeVersion: `MIME-Version: 1.0${CRLF}`,
    contentType: `Content-Type: multipart/mixed; boundary="${boundary}"${CRLF}`,
  };
}

/** What the view does with a field of the stored header. */
type Fate = 'keep' | 'rename' | 'drop';

function fateOf(field: HeaderField, claimsToBeOurs: boolean): Fate {
  const name = field.name.toLowerCase();
  // A line that is no field would end the header for some readers.
  if (name === '' || name === 'mime-version' || name.startsWith('content-')) return 'drop';
  if (claimsToBeOurs) return 'drop';
  // They cover the stored body: on the view they could only fail.
  if (name.startsWith('dkim-') || name.startsWith('arc-')) return 'rename';
  return 'keep';
}

/** RFC 8601 §5: a result under our own authserv-id, or a status field of ours, that we did not add. */
function claimsToBeOurs(field: HeaderField, octets: Buffer, names: ViewNames): boolean {
  const stored = octets.subarray(field.range.start, field.range.end);
  return withoutForgedStatus(stored, names) !== stored;
}

/** The stored header's fields as the view shows them: in their order, CRLF line ends, no lone CR or LF, no NUL. */
export function outerFields(header: Buffer, names: ViewNames): string[] {
  const kept: string[] = [];
  const suspect = mayHoldForgery(header, names);
  for (const field of readHeader(header, 0, header.length).fields) {
    const fate = fateOf(field, suspect && claimsToBeOurs(field, header, names));
    if (fate === 'drop') continue;
    const text = canonicalField(header.toString('latin1', field.range.start, field.range.end));
    kept.push(fate === 'rename' ? `X-Orig-${text}` : text);
  }
  return kept;
}

/** Field names of a `HEADER.FIELDS` list, lower case. */
export type FieldNames = ReadonlySet<string>;

/**
 * How a `HEADER.FIELDS (…)` item of a message in the shell is answered.
 * `as-stored`: no asked field differs; `shape`: from the stored fields and the shell, no key needed, as long as
 * Content-Type is among them; `view`: the asked fields are decided by rendering.
 */
export function fieldsNeed(asked: FieldNames, names: ViewNames): 'as-stored' | 'shape' | 'view' {
  let need: 'as-stored' | 'shape' = 'as-stored';
  for (const name of asked) {
    if (name === 'authentication-results' || name.startsWith(`x-sealgate-${names.installationId}`))
      return 'view';
    if (name.startsWith('x-orig-')) return 'view';
    if (
      name.startsWith('content-') ||
      name === 'mime-version' ||
      name.startsWith('dkim-') ||
      name.startsWith('arc-')
    ) {
      need = 'shape';
    }
  }
  return need;
}

/**
 * The upstream's answer to `HEADER.FIELDS (asked)` as the view has it. `stored` is the literal: the asked fields and
 * an empty line. The result equals `selectFields` on the rendered view's header.
 *
 * @param shell MIME-Version and Content-* fields of the view, lines
 * @param inside what the view of this message has instead, where it was opened already
 */
export function shapeOfFields(
  stored: Buffer,
  asked: FieldNames,
  shell: readonly string[],
  names: ViewNames,
  inside: ProtectedFields | null = null,
): Buffer {
  const fields = withProtectedFields(outerFields(stored, names), inside);
  const lines = [...fields, ...shell].filter((text) => asked.has(nameOf(text)));
  return Buffer.from(lines.join('') + CRLF, 'latin1');
}

/** RFC 9051 §6.4.5.1: the fields that are (`not` false) or are not (`not` true) in the list, and the empty line. */
export function selectFields(header: Buffer, asked: FieldNames, not: boolean): Buffer {
  const kept = readHeader(header, 0, header.length).fields.filter(
    (field) => asked.has(field.name.toLowerCase()) !== not,
  );
  const parts = kept.map((field) => header.subarray(field.range.start, field.range.end));
  return Buffer.concat([...parts, Buffer.from(CRLF)]);
}
