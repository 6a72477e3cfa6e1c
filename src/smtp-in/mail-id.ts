import type { MailId } from '../ids.ts';
import type { Reply } from '../smtp/reply.ts';

/** RFC 5321 §4.5.3.1.5: a reply line with its code and CRLF. */
const LINE_OCTETS = 512;

/** An enhanced status code at the beginning of a line (RFC 2034 §4): each line of a reply has the same. */
const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3}(?= |$)/;

/**
 * The reply with the gateway's id of the mail at its very end, by which people find the mail in both logs: `250 2.0.0 Ok: queued as 4XYZ
 * [01j…]`. Nothing is taken out of what the mail server said: where its last line has no room, the id gets a line of its own. A reply that
 * names the id already stays as it is.
 */
export function withMailId(of: Reply, mail: MailId): Reply {
  if (of.lines.some((line) => line.includes(mail))) return of;
  const last = of.lines[of.lines.length - 1] ?? '';
  const id = `[${mail}]`;
  const line = last === '' ? id : `${last} ${id}`;
  if (`${of.code} \r\n`.length + Buffer.byteLength(line) <= LINE_OCTETS) {
    return { code: of.code, lines: [...of.lines.slice(0, -1), line] };
  }
  const enhanced = ENHANCED.exec(last)?.[0];
  return { code: of.code, lines: [...of.lines, enhanced === undefined ? id : `${enhanced} ${id}`] };
}
