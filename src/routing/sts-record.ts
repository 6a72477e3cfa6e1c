import { limits } from '../limits.ts';

/** The TXT record that tells of an MTA-STS policy (RFC 8461 §3.1). Pure. */

/** sts-ext-name and sts-ext-value. */
const FIELD = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)$/;

/**
 * What the policy of a domain is called at the moment. null: it has none. Records that are no such thing are passed over, and of two nobody
 * knows which one counts.
 *
 * @param records RDATA of the TXT records of `_mta-sts.<domain>`
 */
export function stsPolicyId(records: readonly Buffer[]): string | null {
  const texts = records
    .map(textOf)
    .filter((text) => text !== null)
    .filter((text) => /^v=STSv1[ \t]*;/.test(text));
  const [only] = texts;
  return texts.length === 1 && only !== undefined ? idOf(only) : null;
}

function idOf(text: string): string | null {
  const parts = text.split(';').map((part) => part.replace(/^[ \t]+|(?<![ \t])[ \t]+$/g, ''));
  // A delimiter may stand at the end.
  if (parts.at(-1) === '') parts.pop();
  const fields = parts.map((part) => FIELD.exec(part));
  if (fields.some((field) => field === null)) return null;
  const ids = fields.flatMap((field) => (field?.[1] === 'id' ? [field[2] ?? ''] : []));
  const [id] = ids;
  return ids.length === 1 && id !== undefined && /^[A-Za-z0-9]{1,32}$/.test(id) ? id : null;
}

/** RFC 1035 §3.3.14: strings, each with its length before it, which are one text (RFC 8461 §3.1). null: it is none, or too long. */
export function textOf(data: Buffer): string | null {
  if (data.length > limits.routing.textOctets) return null;
  let text = '';
  for (let at = 0; at < data.length; ) {
    const length = data[at] ?? 0;
    const piece = data.subarray(at + 1, at + 1 + length);
    if (piece.length < length) return null;
    text += piece.toString('latin1');
    at += 1 + length;
  }
  return text;
}
