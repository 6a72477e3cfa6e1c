/**
 * string = quoted / literal; nstring = string / nil (RFC 9051 §4.3). Quoted only for printable ASCII, everything else as a
 * literal, so that nothing in it can end the string. `text` is latin1: a character for an octet.
 */
export function imapString(text: string): string {
  if (/^[\x20-\x7e]{0,1000}$/.test(text)) return `"${text.replace(/["\\]/g, '\\$&')}"`;
  const octets = text.replace(/\0/g, '?');
  return `{${octets.length}}\r\n${octets}`;
}

export function imapNstring(text: string | null): string {
  return text === null ? 'NIL' : imapString(text);
}
