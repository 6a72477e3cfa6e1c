/**
 * A stranger's text fit for one line of a sentence: without control, format and separator characters, and cut.
 * A line break in an address must not become a line of an SMTP reply or of a header field.
 */
export function quoted(text: string, longest = 120): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?');
  const characters = [...plain];
  return characters.length <= longest ? plain : `${characters.slice(0, longest).join('')}…`;
}

/** `a, b and c`, and for many `a, b, c and 12 more`. */
export function enumerated(items: readonly string[], most = 3): string {
  const shown = items.slice(0, most).map((item) => quoted(item));
  const more = items.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} more`;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}
