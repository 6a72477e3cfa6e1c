/** A reply of RFC 5321 §4.2: all lines share one code; the enhanced code of RFC 2034 is part of the text. */
export type Reply = {
  /** 200–599. */
  code: number;
  /**
   * Text of each line without code, separator and CRLF; at least one. Unicode: replies are read as UTF-8
   * (RFC 6531 §3.7.4.2), or as Latin-1 where they are not, and written as UTF-8.
   */
  lines: readonly string[];
};

/** One reply of ours. `enhanced` is the code of RFC 3463 (`5.7.0`), null where a reply has none (220, 354, EHLO). */
export function reply(code: number, enhanced: string | null, text: string): Reply {
  return { code, lines: [enhanced === null ? text : `${enhanced} ${text}`] };
}

/** RFC 5321 §4.2.1, first digit. */
export type ReplyClass = 'completed' | 'intermediate' | 'temporary' | 'permanent';

export function replyClass(of: Reply): ReplyClass {
  if (of.code < 300) return 'completed';
  if (of.code < 400) return 'intermediate';
  return of.code < 500 ? 'temporary' : 'permanent';
}

export function isCompleted(of: Reply): boolean {
  return of.code >= 200 && of.code < 300;
}

// Whatever a text contains, it cannot end its line: a line end inside would let one reply be read as two.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/g;

/**
 * The octets of a reply as text, CRLF included:
 *
 *     Reply-line = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF     ; RFC 5321 §4.2
 *
 * The last line always has its SP, because AUTH's empty challenge needs it (`334 `, RFC 4954 §4).
 */
export function formatReply(of: Reply): string {
  const last = of.lines.length - 1;
  if (last < 0) return `${of.code} \r\n`;
  let text = '';
  for (let i = 0; i < last; i++) text += `${of.code}-${clean(of.lines[i])}\r\n`;
  return `${text}${of.code} ${clean(of.lines[last])}\r\n`;
}

function clean(line: string | undefined): string {
  return line === undefined ? '' : line.replace(CONTROL, ' ');
}

/** For logs: code and first line, at most 200 characters. */
export function summary(of: Reply): string {
  return `${of.code} ${clean(of.lines[0])}`.slice(0, 200);
}
