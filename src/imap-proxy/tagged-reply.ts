import type { Pending, TaggedReply } from './pending.ts';

/**
 * The tagged response as the client gets it: NO for a FETCH from which messages were left out (RFC 5530 §3), though the
 * upstream said OK.
 */
export function finalReply(pending: Pending, { status, line }: TaggedReply): Buffer {
  const { withheld, withheldCount } = pending;
  if (withheld === null || status !== 'OK') return line;
  const text = publicLine(withheld.text);
  const messages = withheldCount === 1 ? '1 message' : `${withheldCount} messages`;
  const said =
    withheld.key === true ? `Key for ${messages} not available: ${text}` : `${text} (${messages} left out)`;
  return Buffer.from(`${pending.tag} NO [${withheld.code}] ${said}\r\n`, 'latin1');
}

/** A sentence as resp-text (RFC 9051 §9): printable US-ASCII that no reader takes for the beginning of a literal. */
export function publicLine(text: string): string {
  return text
    .replace(/[“”]/g, '"')
    .replace(/[‘’]/g, "'")
    .replace(/[^\x20-\x7e]+/g, '?')
    .slice(0, 600)
    .replace(/\}$/, ')');
}
