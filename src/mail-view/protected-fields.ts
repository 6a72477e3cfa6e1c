import { readHeader } from '../mail/header.ts';
import { isAddedOnTheWay, isAuthored } from '../mail/header-protection-fields.ts';

/**
 * Protected header fields (RFC 9788) in the header of a view.
 *
 * Holds: each takes the place of the one outside, so that no field stands there twice.
 * Must never happen: a field that only stands outside shown beside protected ones, where an author writes it: whoever
 * carried the mail could add a recipient of the answer.
 */
export type ProtectedFields = readonly string[];

/** The fields of `header`, each as a text that ends with CRLF. Other than an author's are left out. */
export function protectedFields(header: Buffer): ProtectedFields {
  return readHeader(header, 0, header.length)
    .fields.filter(({ name }) => isAuthored(name.toLowerCase()))
    .map(({ range }) => canonicalField(header.toString('latin1', range.start, range.end)));
}

/** A lone CR is a line end to some readers; what follows it would pass for a field of its own. */
export function canonicalField(text: string): string {
  // Nearly every field is one clean line.
  if (/^[^\r\n\0]*\r\n$/.test(text)) return text;
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  return lines.map((line) => `${line.replace(/[\r\0]/g, ' ')}\r\n`).join('');
}

/** `outer` with the protected fields in their places; those that have none outside come last. null: `outer` as it is. */
export function withProtectedFields(
  outer: readonly string[],
  inside: ProtectedFields | null,
): readonly string[] {
  if (inside === null) return outer;
  const byName = Map.groupBy(inside, nameOf);
  const shown: string[] = [];
  for (const text of outer) {
    const name = nameOf(text);
    if (!isAuthored(name)) shown.push(text);
    else if (byName.has(name)) {
      for (const each of byName.get(name) ?? []) shown.push(each);
      byName.set(name, []);
    } else if (name === 'from' || isAddedOnTheWay(name)) shown.push(text);
  }
  return [...shown, ...[...byName.values()].flat()];
}

/** What stands outside, but for the sender, who is the one inside. */
export function withSenderOf(inside: ProtectedFields, outer: readonly string[]): ProtectedFields {
  const kept = outer.filter((text) => isAuthored(nameOf(text)) && nameOf(text) !== 'from');
  return [...inside.filter((text) => nameOf(text) === 'from'), ...kept];
}

/** Lower case. */
export function nameOf(text: string): string {
  return text.slice(0, text.indexOf(':')).toLowerCase();
}
