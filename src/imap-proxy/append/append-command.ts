/**
 * APPEND (RFC 9051 §6.3.12, RFC 6855 §4) and REPLACE (RFC 8508 §3) up to the literal of the message:
 *
 *   append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP (literal / "~" literal8 / "UTF8" SP "(" literal8 ")")
 *   replace = "REPLACE" SP seq-number SP mailbox [SP flag-list] [SP date-time] SP …
 */
export type AppendCommand = {
  /** Octets of the mailbox's name, unquoted. */
  mailbox: Buffer;
  /** What stands before the message, as the client wrote it: mailbox, flags, date; latin1. */
  before: string;
  /** The message may have a header in UTF-8, and a parenthesis follows it. */
  utf8: boolean;
};

const ATOM = '[^\\x00-\\x20(){%*"\\\\\\x7f-\\xff]+';
const QUOTED = '"(?:[^"\\\\\\r\\n\\0]|\\\\["\\\\])*"';
const FLAGS = ' \\([^()"{}\\r\\n\\0]*\\)';
const DATE = ' "[0-9A-Za-z :+-]{1,40}"';
const MESSAGE = '(UTF8 \\()?~?\\{[0-9]{1,10}\\+?\\}';

/** Behind the mailbox's name, or behind another message. */
const BEHIND_LITERAL = new RegExp(`^\\)?(?:${FLAGS})?(?:${DATE})? ${MESSAGE}$`, 'i');
const NUMBER = '[1-9][0-9]{0,9} |\\* ';
const APPEND = new RegExp(`^((${QUOTED}|${ATOM})(?:${FLAGS})?(?:${DATE})?) ${MESSAGE}$`, 'i');
const REPLACE = new RegExp(`^((?:${NUMBER})(${QUOTED}|${ATOM})(?:${FLAGS})?(?:${DATE})?) ${MESSAGE}$`, 'i');

/** @param argument latin1, with the announcement of the literal. null: not in the grammar, or an extension of it */
export function readAppendCommand(argument: string, verb: 'append' | 'replace'): AppendCommand | null {
  const found = (verb === 'append' ? APPEND : REPLACE).exec(argument);
  if (found === null) return null;
  const name = found[2] ?? '';
  const mailbox = name.startsWith('"') ? name.slice(1, -1).replace(/\\(["\\])/g, '$1') : name;
  return { mailbox: Buffer.from(mailbox, 'latin1'), before: found[1] ?? '', utf8: found[3] !== undefined };
}

/** Whether the name of the mailbox is the literal that follows. `before`: what stands in front of it, with a blank. */
export function mailboxFollows(argument: string, verb: 'append' | 'replace'): { before: string } | null {
  const found = (
    verb === 'append' ? /^()\{[0-9]{1,10}\+?\}$/ : /^((?:[1-9][0-9]{0,9}|\*) )\{[0-9]{1,10}\+?\}$/
  ).exec(argument);
  return found === null ? null : { before: found[1] ?? '' };
}

/**
 * Which literals of a command are whole messages, told line by line: those of MULTIAPPEND (RFC 3502 §6.3.11) are, those of CATENATE
 * (RFC 4469) and of what is in no grammar are not, nor is anything behind them.
 */
export class MessageLiterals {
  #at: 'beginning' | 'behind-literal' | 'lost' = 'beginning';
  readonly #verb: 'append' | 'replace';

  constructor(verb: 'append' | 'replace') {
    this.#verb = verb;
  }

  /**
   * What the literal is that this piece announces.
   *
   * @param text of the first line, its argument; of others, all of it; latin1, without the line end
   */
  next(text: string): 'message' | 'other' | 'lost' {
    const at = this.#at;
    this.#at = 'behind-literal';
    if (at === 'beginning') {
      if (readAppendCommand(text, this.#verb) !== null) return 'message';
      if (mailboxFollows(text, this.#verb) !== null) return 'other';
    }
    if (at === 'behind-literal' && BEHIND_LITERAL.test(text)) return 'message';
    this.#at = 'lost';
    return 'lost';
  }
}

/** RFC 4469: a message made of others, by the mail server, which has only the encrypted ones. */
export function isCatenate(argument: string): boolean {
  return / CATENATE \(/i.test(argument);
}

/** `[APPENDUID uidvalidity uid]` (RFC 4315 §3); null: none, or of several messages. */
export function appendUid(line: Buffer): { uidValidity: number; uid: number } | null {
  const found = /\[APPENDUID ([0-9]{1,10}) ([0-9]{1,10})\]/i.exec(line.toString('latin1', 0, 300));
  return found === null ? null : { uidValidity: Number(found[1]), uid: Number(found[2]) };
}
