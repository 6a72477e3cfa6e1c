import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { decodeEncodedWords } from './encoded-word.ts';
import type { HeaderField } from './entity.ts';
import { field, malformedLines } from './header.ts';
import { commentEnd } from './media-type.ts';

/**
 * Address lists (RFC 5322 §3.4, UTF-8 by RFC 6532) and the question on which every judgement of a signature rests:
 * who does this message say it is from?
 *
 * What must never happen: that we read one author and a mail client shows another. So whatever clients are known to
 * read differently (routes, source text in comments, encoded words and quotes in a local part, NUL, two fields,
 * groups) is `malformed` or `several`, never `one`.
 */

export type Address = {
  /** Unquoted, encoded words decoded; null: none. For people only, it proves nothing. */
  displayName: string | null;
  /** As compared: a quoted local part that needs no quotes has none. */
  localPart: string;
  /** As written; a domain literal with its brackets. */
  domain: string;
  /** `localPart@domain`. */
  address: string;
  /** Display name of the group it is in; null: in none. */
  group: string | null;
};

export type FromHeader =
  | { kind: 'one'; address: Address }
  | { kind: 'several'; addresses: readonly Address[] }
  | { kind: 'none' }
  /** More than one field. */
  | { kind: 'duplicate' }
  | { kind: 'malformed' };

/** Reads an unfolded field value (latin1). Throws SealgateError `mail.malformed-address`; obsolete routes are refused. */
export function readAddresses(value: string): readonly Address[] {
  return new AddressReader(decodeUtf8(value)).readList();
}

/** The author of a message by its header (RFC 5322 §3.6.2); never throws. */
export function readFrom(fields: readonly HeaderField[]): FromHeader {
  return readOriginator(fields, 'from');
}

/** Who sent it on the author's behalf (RFC 5322 §3.6.2); never throws. */
export function readSender(fields: readonly HeaderField[]): FromHeader {
  return readOriginator(fields, 'sender');
}

function readOriginator(fields: readonly HeaderField[], name: 'from' | 'sender'): FromHeader {
  // A line like "From : x" is no field here but one for some clients.
  const lines = malformedLines(fields).map((line) => line.value.trimStart().toLowerCase());
  if (lines.some((line) => line.startsWith(name))) return { kind: 'malformed' };
  const found = field(fields, name);
  if (found.kind === 'none') return { kind: 'none' };
  if (found.kind === 'several') return { kind: 'duplicate' };
  let addresses: readonly Address[];
  try {
    addresses = readAddresses(found.field.value);
  } catch (error) {
    if (error instanceof SealgateError) return { kind: 'malformed' };
    throw error;
  }
  if (addresses.some((each) => each.group !== null || isReadDifferently(each))) return { kind: 'malformed' };
  const [first] = addresses;
  if (first === undefined) return { kind: 'malformed' };
  return addresses.length === 1 ? { kind: 'one', address: first } : { kind: 'several', addresses };
}

/**
 * Whether the display name holds an address that is not the one behind it: `"boss@example.com" <x@evil.example>`.
 * Many clients show the name alone.
 */
export function namesAnotherAddress(address: Address): boolean {
  const words = (address.displayName ?? '').normalize('NFKC').split(/[\s<>"'(),:;[\]]+/u);
  const shown = words.filter((word) => /[^@]@[^@]/u.test(word));
  return shown.some((each) => each.replace(/\.$/, '').toLowerCase() !== address.address.toLowerCase());
}

/** Local parts that some clients decode, cut or re-parse: encoded words, quotes around specials, controls. */
function isReadDifferently({ localPart, domain }: Address): boolean {
  return (
    !ATOM_TEXT.test(localPart) || localPart.includes('=?') || domain.includes('=?') || domain.startsWith('[')
  );
}

// dot-atom-text (RFC 5322 §3.2.3) with UTF8-non-ascii (RFC 6532 §3.2), controls and blanks of Unicode left out
const ATEXT = "!#$%&'*+\\-/0-9=?A-Z^_`a-z{|}~";
const WIDE = '[^\\u0000-\\u00a0\\u00ad\\p{Z}\\p{C}]';
const ATOM_TEXT = new RegExp(`^(?:[${ATEXT}]|${WIDE})+(?:\\.(?:[${ATEXT}]|${WIDE})+)*$`, 'u');
const ATOM_AT = new RegExp(`(?:[.${ATEXT}]|${WIDE})+`, 'uy');
// domain-literal without quoted pairs (obsolete)
const LITERAL_AT = /\[[!-Z^-~]*\]/y;
// quoted-string: qtext, quoted-pair, blanks
const QUOTED_AT = /"((?:[\t !#-[\]-~]|[^\u0000-\u009f]|\\[\t -~])*)"/uy;

class AddressReader {
  readonly text: string;
  at = 0;
  count = 0;

  constructor(text: string) {
    this.text = text;
  }

  // address-list = (address *("," address)); empty elements (obs-addr-list) are refused
  readList(): Address[] {
    const addresses: Address[] = [];
    this.skipBlanks();
    for (;;) {
      addresses.push(...this.readAddress());
      this.skipBlanks();
      if (this.at === this.text.length) return addresses;
      this.expect(',');
    }
  }

  // address = mailbox / group
  private readAddress(): Address[] {
    const phrase = this.readPhrase();
    switch (this.peek()) {
      case '<':
        return [this.readAngle(displayed(phrase))];
      case '@':
        return [this.readDomain(phrase, null)];
      case ':':
        return this.readGroup(phrase);
      default:
        throw malformed('neither an address nor a group');
    }
  }

  // group = display-name ":" [group-list] ";"
  private readGroup(phrase: readonly Word[]): Address[] {
    const name = displayed(phrase);
    if (name === null) throw malformed('a group without a name');
    this.expect(':');
    const members: Address[] = [];
    this.skipBlanks();
    while (this.peek() !== ';') {
      const words = this.readPhrase();
      const member = this.peek() === '<' ? this.readAngle(displayed(words)) : this.readDomain(words, null);
      members.push({ ...member, group: name });
      this.skipBlanks();
      if (this.peek() !== ';') this.expect(',');
    }
    this.expect(';');
    return members;
  }

  // angle-addr = [CFWS] "<" addr-spec ">" [CFWS]
  private readAngle(displayName: string | null): Address {
    this.expect('<');
    const address = this.readDomain(this.readPhrase(), displayName);
    this.skipBlanks();
    this.expect('>');
    this.skipBlanks();
    return address;
  }

  // addr-spec = local-part "@" domain; local-part = dot-atom / quoted-string (one word)
  private readDomain(local: readonly Word[], displayName: string | null): Address {
    const [word, more] = local;
    if (word === undefined || more !== undefined) throw malformed('a local part is one word');
    this.expect('@');
    this.skipBlanks();
    const domain = this.match(LITERAL_AT) ?? this.match(ATOM_AT);
    if (domain === null || !(domain.startsWith('[') || ATOM_TEXT.test(domain))) throw malformed('no domain');
    this.skipBlanks();
    if (!word.quoted && !ATOM_TEXT.test(word.text)) throw malformed('dots misplaced in a local part');
    if (++this.count > limits.smtp.recipients) throw malformed('too many addresses');
    const localPart = ATOM_TEXT.test(word.text) ? word.text : `"${word.text.replace(/["\\]/g, '\\$&')}"`;
    return { displayName, localPart, domain, address: `${localPart}@${domain}`, group: null };
  }

  // phrase = 1*word, with the dots of obs-phrase, which are common in names
  private readPhrase(): Word[] {
    const words: Word[] = [];
    for (;;) {
      this.skipBlanks();
      const quoted = this.match(QUOTED_AT);
      if (quoted !== null) {
        words.push({ quoted: true, text: quoted.slice(1, -1).replace(/\\(.)/gs, '$1') });
        continue;
      }
      const atom = this.match(ATOM_AT);
      if (atom === null) return words;
      words.push({ quoted: false, text: atom });
    }
  }

  private skipBlanks(): void {
    for (;;) {
      const char = this.peek();
      if (char === ' ' || char === '\t') this.at++;
      else if (char === '(') this.skipComment();
      else return;
    }
  }

  private skipComment(): void {
    const end = commentEnd(this.text, this.at);
    if (end === -1) throw malformed('a comment does not end');
    // Readers that do not know comments would take an address out of it.
    if (/[<>@\0-\x08\x0a-\x1f\x7f]/.test(this.text.slice(this.at, end)))
      throw malformed('an address in a comment');
    this.at = end + 1;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? null;
    if (found !== null) this.at += found.length;
    return found;
  }

  private peek(): string | undefined {
    return this.text[this.at];
  }

  private expect(char: string): void {
    if (this.peek() !== char) throw malformed(`"${char}" expected`);
    this.at++;
  }
}

type Word = { quoted: boolean; text: string };

function displayed(words: readonly Word[]): string | null {
  return words.length === 0 ? null : decodeEncodedWords(words.map((word) => word.text).join(' '));
}

/** RFC 6532 §3.1: octets beyond ASCII are UTF-8. */
function decodeUtf8(value: string): string {
  if (!/[\x80-\xff]/.test(value)) return value;
  const octets = Buffer.from(value, 'latin1');
  const text = octets.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(octets)) throw malformed('not UTF-8');
  return text;
}

function malformed(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.malformed-address',
    publicText: 'An address in the header of this message is not written as RFC 5322 asks for.',
    duration: 'permanent',
    reason,
  });
}
