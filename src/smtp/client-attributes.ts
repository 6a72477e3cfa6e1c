/**
 * What a trusted proxy says of its client, as Postfix has it in XCLIENT and XFORWARD:
 *
 *     attributes = 1*( SP name "=" value )
 *     value      = xtext (RFC 3461 §4) / "[UNAVAILABLE]" / "[TEMPUNAVAIL]"
 *
 * Names are upper case; value null: the proxy does not know.
 */
export type ClientAttributes = ReadonlyMap<string, string | null>;

const KNOWN: Readonly<Record<'XCLIENT' | 'XFORWARD', readonly string[]>> = {
  XCLIENT: ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'LOGIN', 'DESTADDR', 'DESTPORT'],
  XFORWARD: ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO', 'IDENT', 'SOURCE'],
};

/** Of each attribute that is offered; the keyword line of EHLO. A login is never taken from anybody. */
export function attributesOffered(verb: 'XCLIENT' | 'XFORWARD'): string {
  const offered = verb === 'XCLIENT' ? ['NAME', 'ADDR', 'PORT', 'PROTO', 'HELO'] : KNOWN.XFORWARD;
  return `${verb} ${offered.join(' ')}`;
}

/** null: malformed, not known, or said twice. @param text behind the verb and its SP */
export function readClientAttributes(verb: 'XCLIENT' | 'XFORWARD', text: string): ClientAttributes | null {
  const attributes = new Map<string, string | null>();
  for (const word of text.split(' ')) {
    const [, name, value] = /^([A-Za-z]{1,16})=([\x21-\x7e]{1,255})$/.exec(word) ?? [];
    const known = name?.toUpperCase() ?? '';
    if (value === undefined || !KNOWN[verb].includes(known) || attributes.has(known)) return null;
    const decoded = decodeXtext(value);
    if (decoded === null) return null;
    attributes.set(known, /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i.test(decoded) ? null : decoded);
  }
  return attributes;
}

/** RFC 3461 §4. null: malformed, or a control character in it. */
function decodeXtext(value: string): string | null {
  if (/\+(?![0-9A-Fa-f]{2})/.test(value)) return null;
  const octets = value.replace(/\+([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return /[\x00-\x1f\x7f]/.test(octets) ? null : octets;
}

/** As they stand in a command, with the SP before each. */
export function writeClientAttributes(attributes: ClientAttributes): string {
  let text = '';
  for (const [name, value] of attributes)
    text += ` ${name}=${value === null ? '[UNAVAILABLE]' : xtext(value)}`;
  return text;
}

function xtext(value: string): string {
  return [...Buffer.from(value, 'latin1')]
    .map((octet) => {
      const plain = octet > 0x20 && octet < 0x7f && octet !== 0x2b && octet !== 0x3d;
      return plain ? String.fromCharCode(octet) : `+${octet.toString(16).toUpperCase().padStart(2, '0')}`;
    })
    .join('');
}
