/**
 * Tags of a Subject: words in brackets at its beginning, one behind another, blanks between them or not. By them authors steer
 * programs: `[encrypt] [project-7] Offer`.
 */

/** Where a tag stands in the text, the blanks behind it included. */
export type SubjectTag = {
  /** Lower case, without brackets. */
  tag: string;
  start: number;
  end: number;
};

/** A tag as it is written in a configuration: letters, digits, hyphens and underscores, 32 at most. */
export const TAG = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;

// What shows nothing (zero-width characters, marks of direction, as pasted text has them) is a blank: an author sees the tag.
const AT = /\[([A-Za-z0-9][A-Za-z0-9_-]{0,31})\][\s\p{Cf}]*/uy;
const BEFORE = /^[\s\p{Cf}]*/u;

/** The tags at the beginning of a Subject. @param text decoded and unfolded; blanks in front do not matter */
export function subjectTags(text: string): SubjectTag[] {
  const tags: SubjectTag[] = [];
  AT.lastIndex = BEFORE.exec(text)?.[0].length ?? 0;
  for (
    let at = AT.lastIndex, match = AT.exec(text);
    match !== null;
    at = AT.lastIndex, match = AT.exec(text)
  ) {
    tags.push({ tag: (match[1] ?? '').toLowerCase(), start: at, end: AT.lastIndex });
  }
  return tags;
}
