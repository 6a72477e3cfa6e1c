import { unreachable } from '../errors.ts';
import { transformWhole } from '../octets/transform.ts';
import type { Range } from './entity.ts';
import { readEntity } from './entity-tree.ts';
import { surveyHazards } from './hazards.ts';
import { asBuffer, readHeader } from './header.ts';
import type { Message } from './message.ts';
import { beginForm } from './safe-forms.ts';
import { type Form, planSafe, planSafeUnder, type Question, type SafePiece } from './safe-plan.ts';

/**
 * Makes an entity fit for signing (RFC 8551 §3.1): CRLF, seven bits, lines of at most 998 octets, no blank before a
 * line end and no line that starts with `From `, so that no relay has a reason to touch it.
 *
 * Leaves that are safe already stay as they are, byte for byte. A multipart/signed inside is never touched: it would
 * break the signature of somebody else.
 */

/** The safe form of the entity; its own safe form is itself. Throws SealgateError `mail.cannot-make-safe`, `mail.too-complex`. */
export function sevenBitSafe(octets: Uint8Array): Buffer {
  const buffer = asBuffer(octets);
  const plan = planSafe({ start: 0, end: buffer.length }, (question) => answer(buffer, question)).next();
  if (plan.done !== true) throw new Error('all octets are there and a question is left');
  return Buffer.concat(plan.value.map((piece) => octetsOf(buffer, piece)));
}

/**
 * The safe form of a message's root entity under another header, without putting the two together before.
 *
 * @param header of the entity, CRLF, with the empty line; its Content-* fields are those of the message, or say what the absence
 *   of them means
 * @param before goes in front
 */
export function sevenBitSafeUnder(header: Buffer, { octets, root }: Message, before: Buffer): Buffer {
  const { fields } = readHeader(header, 0, header.length);
  const plan = planSafeUnder({ octets: header, fields }, root, (question) => answer(octets, question)).next();
  if (plan.done !== true) throw new Error('all octets are there and a question is left');
  return Buffer.concat([before, ...plan.value.map((piece) => octetsOf(octets, piece))]);
}

function answer(octets: Buffer, question: Question): void {
  const { range } = question;
  switch (question.ask) {
    case 'octets':
      question.answer = octets.subarray(range.start, range.end);
      return;
    case 'entity':
      question.answer = readEntity(octets, range, question.budget);
      return;
    case 'survey':
      question.answer = surveyHazards(inForm(octets, range, question.form));
      return;
    case 'conversion': {
      const converted = inForm(octets, range, question.form);
      question.answer = { length: converted.length, octets: converted };
      return;
    }
    default:
      unreachable(question);
  }
}

function octetsOf(octets: Buffer, piece: SafePiece): Buffer {
  if (piece.kind === 'octets') return piece.octets;
  return piece.conversion.octets ?? inForm(octets, piece.range, piece.form);
}

function inForm(octets: Buffer, { start, end }: Range, form: Form): Buffer {
  const whole = octets.subarray(start, end);
  return form === 'as-is' ? whole : transformWhole(whole, beginForm(form));
}
