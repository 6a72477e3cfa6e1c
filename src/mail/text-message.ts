import { encodeWords } from './encoded-word.ts';
import { encodeQuotedPrintable } from './quoted-printable.ts';

/** A mail with one text part, as the gateway writes it for itself or for a person. */
export type TextMessage = HeaderOfMessage & {
  /** Lines as a reader sees them; empty ones part paragraphs. Longer ones are wrapped by encoding, not by line ends. */
  lines: readonly string[];
};

export type HeaderOfMessage = {
  /** Addresses, without angle brackets. */
  from: string;
  /** A display name beside it; absent: none. */
  name?: string;
  /** Empty: nobody is named. */
  to: readonly string[];
  subject: string;
  date: Date;
  /** With angle brackets. */
  messageId: string;
  replyTo?: string;
  /** Of the mail that it is about, with angle brackets. */
  inReplyTo?: string;
  /** RFC 3834 §5.1.7: what nobody has typed says so, and nobody answers it by a program. */
  autoSubmitted?: 'auto-generated' | 'auto-replied';
};

/** The message, CRLF; ASCII but for addresses beyond it (RFC 6532). */
export function textMessage(message: TextMessage): Buffer {
  return Buffer.concat([
    Buffer.from(messageHeader(message).join('\r\n')),
    Buffer.from('\r\nMIME-Version: 1.0\r\n'),
    textPart(message.lines),
  ]);
}

/**
 * The fields without those of MIME, one an item, folded where they are long.
 *
 * @throws Error where an address, a name or an id has control characters, which would end its field
 */
export function messageHeader(header: HeaderOfMessage): string[] {
  const { from, name, to, subject, date, messageId, replyTo, inReplyTo, autoSubmitted } = header;
  const author = name === undefined ? addressed(from) : `${phrase(name)} <${from}>`;
  const fields = [
    // RFC 5322 §3.3
    `Date: ${date.toUTCString().replace('GMT', '+0000')}`,
    `From: ${author}`,
    // RFC 5322 §3.4: a group without members, for those who are not to learn of each other.
    `To: ${to.length === 0 ? 'undisclosed-recipients:;' : to.map(addressed).join(',\r\n ')}`,
    ...(replyTo === undefined ? [] : [`Reply-To: ${addressed(replyTo)}`]),
    `Subject: ${unstructured(subject)}`,
    `Message-ID: ${messageId}`,
    ...(inReplyTo === undefined ? [] : [`In-Reply-To: ${inReplyTo}`, `References: ${inReplyTo}`]),
    ...(autoSubmitted === undefined ? [] : [`Auto-Submitted: ${autoSubmitted}`]),
  ];
  if (fields.some((field) => /[\x00-\x08\x0b-\x1f\x7f]|\n(?! )/.test(field.replaceAll('\r\n ', '\n ')))) {
    throw new Error('a control character in a header field');
  }
  return fields;
}

/** A text/plain part with its own header: Content-* fields, the empty line, the text. */
export function textPart(lines: readonly string[]): Buffer {
  const clean = lines.map(withoutControls);
  const body = Buffer.from(`${clean.join('\r\n')}\r\n`);
  // RFC 5322 §2.1.1; blanks at line ends, and lines that mailbox files would change, are encoded.
  const plain = clean.every((line) => /^(?!From |.* $)[\x20-\x7e]{0,76}$/.test(line));
  const head = (charset: string, encoding: string) =>
    Buffer.from(
      `Content-Type: text/plain; charset=${charset}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n`,
    );
  return plain
    ? Buffer.concat([head('us-ascii', '7bit'), body])
    : Buffer.concat([head('utf-8', 'quoted-printable'), encodeQuotedPrintable(body, 'text')]);
}

function addressed(address: string): string {
  return `<${address}>`;
}

/** Of a field like Subject: as it stands where that is ASCII and cannot be taken for an encoded word (RFC 2047). */
function unstructured(value: string): string {
  const line = withoutControls(value).trim();
  return /^[\x20-\x7e]{0,900}$/.test(line) && !line.includes('=?') ? line : encodeWords(line);
}

function phrase(name: string): string {
  return /^[A-Za-z0-9 ]{1,60}$/.test(name) ? name : encodeWords(withoutControls(name));
}

function withoutControls(value: string): string {
  return value.replace(/\p{Cc}+/gu, ' ');
}
