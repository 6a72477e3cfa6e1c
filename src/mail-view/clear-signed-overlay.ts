import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { HeaderField } from '../mail/entity.ts';
import { readHeader } from '../mail/header.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import { HeaderCleaner, withoutForgedStatus } from './forged-status.ts';
import type { Annotation, RenderedView } from './render.ts';
import { statusBlock } from './status-block.ts';
import { headerOf } from './view-content.ts';
import type { ViewNames } from './view-names.ts';
import { signaturesOf, type ViewOutcome } from './view-outcome.ts';

/**
 * The status block in the header of a clear-signed message, in the place of trace fields and in exactly their octets: sizes,
 * structure and the signed part stay what they are.
 *
 * Holds: what comes back has as many octets as what was given, every field that is not a trace field is where it was but for a
 * shift, and the empty line is where it was. Must never happen: an octet behind the empty line is touched.
 */

export type OverlayRequest = {
  /** Never read after the answer. */
  original: OctetSource;
  outcome: ViewOutcome;
  names: ViewNames;
  /** What was said of it before; null: nothing. */
  frozen: Annotation | null;
  spool: Spool;
};

/** The message with what was found in it, or as it is stored: where there is no room, where nothing is signed, or where something is encrypted. */
export async function renderOverlay(request: OverlayRequest): Promise<RenderedView> {
  const { original, outcome, names, frozen, spool } = request;
  const header = await headerOrNone(original);
  const annotation = frozen ?? annotationOf(outcome, names);
  const { status } = annotation;
  const shown = status === '' || header === null ? null : overlaidHeader(header, status, names);
  const octets =
    shown === null
      ? original
      : joinedSource([bufferSource(shown), sliceOf(original, shown.length, original.length)]);
  const cleaner = shown === null ? new HeaderCleaner(names) : null;
  const clean = (chunk: Buffer): Buffer => cleaner?.clean(chunk) ?? chunk;
  const said = { overflow: false, annotation };
  if (octets.length <= limits.view.memoryOctets)
    return { ...said, octets: bufferSource(await inMemory(octets, clean)), discard: NOTHING };
  const writer = spool.begin();
  try {
    for await (const chunk of octets.read()) await writer.write(clean(chunk));
    const copy = await writer.finish();
    return { ...said, octets: copy, discard: () => copy.discard() };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

async function inMemory(octets: OctetSource, clean: (chunk: Buffer) => Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of octets.read()) chunks.push(Buffer.from(clean(chunk)));
  return Buffer.concat(chunks);
}

/** null: it is larger than any header that the gateway reads. */
async function headerOrNone(original: OctetSource): Promise<Buffer | null> {
  try {
    return (await headerOf(original)).octets;
  } catch (error) {
    if (error instanceof SealgateError && error.code.startsWith('mail.')) return null;
    throw error;
  }
}

function annotationOf(outcome: ViewOutcome, names: ViewNames): Annotation {
  const status = clearSignedStatus(outcome, names);
  const same = { warning: null, header: null, transparent: null, padding: 'on', textOnly: false } as const;
  return { kind: status === '' ? 'as-is' : 'opened', status, ...same };
}

/** What is said on top of a clear-signed message. Empty: it is none. */
export function clearSignedStatus(outcome: ViewOutcome, names: ViewNames): string {
  if (outcome.kind !== 'as-is' || outcome.report === null || outcome.verdict === undefined) return '';
  const { report, verdict } = outcome;
  const isClear = report.layers.every(({ kind }) => kind !== 'encrypted') && signaturesOf(report).length > 0;
  if (!isClear) return '';
  return statusBlock({ kind: 'opened', entity: bufferSource(Buffer.alloc(0)), report, verdict }, names);
}

/** Names of fields that may go, lower case, in the order in which they go: written by servers, asked for by no listing. */
const NOTHING = async (): Promise<void> => undefined;

const TRACE: readonly ((name: string) => boolean)[] = [
  (name) => name.startsWith('x-ms-exchange-'),
  (name) => name.startsWith('arc-'),
  (name) => name === 'x-received',
  (name) => name === 'received',
];

const SP = 0x20;
const HT = 0x09;

/** Whether a listing that asks for this field has to know what was found in the message. */
export function isTraceField(name: string): boolean {
  return TRACE.some((is) => is(name));
}

/** null: there is no room, and the message stays as it is stored. `status` ends with CRLF. */
export function overlaidHeader(header: Buffer, status: string, names: ViewNames): Buffer | null {
  const clean = withoutForgedStatus(header, names);
  // Below the status its first line would be a continuation of ours (RFC 5322 §2.2.3).
  if (clean[0] === SP || clean[0] === HT) return null;
  const { fields } = readHeader(clean, 0, clean.length);
  const gone = removed(fields, Buffer.byteLength(status, 'latin1'), fillName(names).length + 4);
  if (gone === null) return null;
  const pieces: Buffer[] = [Buffer.from(status, 'latin1')];
  const room = octetsOf(gone) - Buffer.byteLength(status, 'latin1');
  pieces.push(fill(room, names));
  let at = 0;
  for (const { range } of fields.filter((field) => gone.has(field))) {
    pieces.push(clean.subarray(at, range.start));
    at = range.end;
  }
  pieces.push(clean.subarray(at));
  const result = Buffer.concat(pieces);
  if (result.length !== header.length) throw new Error('an overlaid header has another size');
  return result;
}

/** The fewest trace fields that leave exactly the status, or that and at least a whole filler; null: there are not enough. */
function removed(fields: readonly HeaderField[], status: number, least: number): Set<HeaderField> | null {
  const gone = new Set<HeaderField>();
  for (const isGone of TRACE) {
    for (const field of fields) {
      if (!isGone(field.name.toLowerCase())) continue;
      gone.add(field);
      const room = octetsOf(gone) - status;
      if (room === 0 || room >= least) return gone;
    }
  }
  return null;
}

function octetsOf(fields: Iterable<HeaderField>): number {
  let octets = 0;
  for (const { range } of fields) octets += range.end - range.start;
  return octets;
}

function fillName({ installationId }: ViewNames): string {
  return `X-Sealgate-${installationId}-Fill`;
}

/** A field of so many octets: lines of at most 78, none of blanks alone (RFC 5322 §3.2.2). */
function fill(octets: number, names: ViewNames): Buffer {
  if (octets === 0) return Buffer.alloc(0);
  let text = `${fillName(names)}: `;
  let left = octets - text.length - 2;
  let line = text.length;
  while (left > 0) {
    const room = Math.max(76 - line, 1);
    // A next line takes a line end, a blank and one letter at least.
    const take = left <= room ? left : left - room >= 4 ? room : Math.max(left - 4, 1);
    text += '-'.repeat(take);
    left -= take;
    if (left > 0) {
      text += '\r\n ';
      left -= 3;
      line = 1;
    }
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
