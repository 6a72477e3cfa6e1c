/** Characters of one value in a line; what is longer is cut, with its length told. */
const LONGEST = 2_000;

/**
 * A stranger's text fit for a log line: control, format (bidirectional overrides), separator and lone surrogate characters become
 * `\u{…}`, so that it can neither begin a line of its own nor move a terminal's cursor or turn its text around.
 */
export function printable(text: string): string {
  return withoutControls(cut(text));
}

export function cut(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}… (${text.length} characters)` : text;
}

export function withoutControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
