/**
 * Lines of the mail server as a client gets them: no control characters, and no response code (RFC 2449 §8) where the server
 * does not say that it has them, because the gateway says so for both.
 */
export function cleanStatus(text: string, responseCodes: boolean): string {
  const printable = text.replace(/[\x00-\x1f\x7f]/g, '?');
  return responseCodes ? printable : printable.replace(/^(\+OK|-ERR) \[/i, '$1 (');
}

/** `-ERR`, a response code of RFC 2449 §8 or RFC 3206, and a sentence. */
export function refusal(code: 'AUTH' | 'SYS/PERM' | 'SYS/TEMP' | null, text: string): string {
  const sentence = text.replace(/[^\x20-\x7e]/g, '?').slice(0, SENTENCE);
  return `-ERR ${code === null ? '' : `[${code}] `}${sentence}\r\n`;
}

/** RFC 2449 §4: a first line has 512 octets at most. */
const SENTENCE = 480;
