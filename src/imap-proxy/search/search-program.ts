import { limits } from '../../limits.ts';
import type { Piece } from '../client-command.ts';
import type { Written } from '../written-command.ts';
import { NotInGrammar, PieceReader, type ReadString } from './piece-reader.ts';
import { NO_RETURN, type ReturnOptions, readReturnOptions } from './return-options.ts';
import { dayOf } from './search-date.ts';
import { allOf, anyOf, not, type SearchKey, type ShownTest } from './search-key.ts';

/**
 * The arguments of SEARCH, SORT and THREAD (RFC 9051 §6.4.4, RFC 5256 §3):
 *
 *   search         = [SP "RETURN" SP "(" … ")"] SP search-program
 *   search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)
 *   sort           = SP "(" sort-criteria ")" SP charset 1*(SP search-key)
 *   thread         = SP thread-alg SP charset 1*(SP search-key)
 *
 * with the keys of RFC 3501, 5032 (OLDER, YOUNGER), 7162 (MODSEQ), 8474 (EMAILID, THREADID), 8514 (SAVED…) and of Gmail.
 *
 * Holds: what is read has the meaning it has for a mail server. Whatever is not in this grammar is not read at all (null), so
 * that its meaning is never guessed.
 */
export type SearchProgram = {
  /** `sort` and `thread`: the criteria or algorithm before the charset, as written. */
  command: { kind: 'search' } | { kind: 'sort' | 'thread'; how: string };
  /** null: an answer of the old form. */
  returns: ReturnOptions | null;
  /** null: none is said. */
  charset: ReadString | null;
  key: SearchKey;
  /** Whether a MODSEQ criterion is among the keys, so that answers say the highest one (RFC 7162 §3.1.5). */
  modSeq: boolean;
  /** Whether message numbers are among the keys. */
  byNumber: boolean;
};

/**
 * @param name of the command, without UID
 * @param pieces what follows it, without the blank in between and without the line end
 */
export function readSearchProgram(
  name: 'SEARCH' | 'SORT' | 'THREAD',
  pieces: readonly Piece[],
): SearchProgram | null {
  try {
    return new ProgramReader(pieces).read(name);
  } catch (error) {
    if (error instanceof NotInGrammar) return null;
    throw error;
  }
}

class ProgramReader {
  readonly #reader: PieceReader;
  #keys = 0;
  #modSeq = false;
  #byNumber = false;

  constructor(pieces: readonly Piece[]) {
    this.#reader = new PieceReader(pieces);
  }

  read(name: 'SEARCH' | 'SORT' | 'THREAD'): SearchProgram {
    const head = name === 'SEARCH' ? this.#search() : this.#ordered(name);
    const keys = [head.first ?? this.#key(0)];
    while (this.#reader.take(' ')) keys.push(this.#key(0));
    if (!this.#reader.ended) throw new NotInGrammar('more than a search');
    const { command, returns, charset } = head;
    return { command, returns, charset, key: allOf(keys), modSeq: this.#modSeq, byNumber: this.#byNumber };
  }

  /** `first`: the first key, where its name had to be read to tell it from RETURN and CHARSET. */
  #search(): Head & { first: SearchKey | null } {
    const command = { kind: 'search' } as const;
    let returns: ReturnOptions | null = null;
    if (!isName(this.#reader.peek())) return { command, returns, charset: null, first: null };
    let word = this.#reader.atom();
    if (word.toUpperCase() === 'RETURN') {
      this.#reader.need(' ');
      returns = readReturnOptions(this.#reader);
      this.#reader.need(' ');
      if (!isName(this.#reader.peek())) return { command, returns, charset: null, first: null };
      word = this.#reader.atom();
    }
    if (word.toUpperCase() !== 'CHARSET')
      return { command, returns, charset: null, first: this.#named(word, 0) };
    this.#reader.need(' ');
    const charset = this.#reader.astring();
    this.#reader.need(' ');
    return { command, returns, charset, first: null };
  }

  #ordered(name: 'SORT' | 'THREAD'): Head & { first: null } {
    const how = name === 'SORT' ? this.#sortCriteria() : this.#reader.atom();
    this.#reader.need(' ');
    const charset = this.#reader.astring();
    this.#reader.need(' ');
    const kind = name === 'SORT' ? 'sort' : 'thread';
    return { command: { kind, how }, returns: NO_RETURN, charset, first: null };
  }

  #sortCriteria(): string {
    this.#reader.need('(');
    const words = [this.#reader.atom()];
    while (this.#reader.take(' ')) {
      words.push(this.#reader.atom());
      if (words.length > 50) throw new NotInGrammar('more sort criteria than there are');
    }
    this.#reader.need(')');
    return `(${words.join(' ')})`;
  }

  #key(depth: number): SearchKey {
    if (depth > limits.imap.searchDepth) throw new NotInGrammar('a search nested deeper than is read');
    if (!this.#reader.take('(')) return this.#named(this.#reader.atom(), depth);
    const keys = [this.#key(depth + 1)];
    while (this.#reader.take(' ')) keys.push(this.#key(depth + 1));
    this.#reader.need(')');
    return allOf(keys);
  }

  #named(word: string, depth: number): SearchKey {
    if (++this.#keys > limits.imap.searchKeys) throw new NotInGrammar('a search larger than is read');
    const name = word.toUpperCase();
    if (SEQUENCE.test(name)) {
      this.#byNumber ||= name !== '$';
      return stored(word);
    }
    switch (name) {
      case 'ALL':
        return { kind: 'all' };
      case 'NOT':
        this.#reader.need(' ');
        return not(this.#key(depth + 1));
      case 'OR': {
        this.#reader.need(' ');
        const one = this.#key(depth + 1);
        this.#reader.need(' ');
        return anyOf(one, this.#key(depth + 1));
      }
      case 'BODY':
      case 'TEXT':
        return this.#words(word, (words) => ({ on: name === 'BODY' ? 'body' : 'text', words }));
      case 'SUBJECT':
      case 'FROM':
      case 'TO':
      case 'CC':
      case 'BCC':
        return this.#words(word, (words) => ({ on: 'header', field: name.toLowerCase(), words }));
      case 'HEADER':
        return this.#header(word);
      case 'SENTBEFORE':
      case 'SENTON':
      case 'SENTSINCE':
        return this.#sent(word, name);
      case 'UID':
        return stored(word, ' ', this.#argument(SEQUENCE));
      case 'MODSEQ':
        return this.#modSeqKey(word);
      default:
        return this.#plain(word, name);
    }
  }

  #plain(word: string, name: string): SearchKey {
    if (WITHOUT_ARGUMENT.has(name)) return stored(word);
    if (name === 'X-GM-RAW' || name === 'X-GM-LABELS') {
      this.#reader.need(' ');
      return { kind: 'stored', written: [`${word} `, ...this.#reader.astring().written] };
    }
    const form = ARGUMENTS.get(name);
    if (form === undefined) throw new NotInGrammar('a key that is not known');
    if (form !== DATE) return stored(word, ' ', this.#argument(form));
    return stored(word, ' ', this.#date().text);
  }

  #words(word: string, test: (words: Buffer) => ShownTest): SearchKey {
    this.#reader.need(' ');
    const { octets, written } = this.#reader.astring();
    return { kind: 'shown', test: test(octets), written: [`${word} `, ...written] };
  }

  #header(word: string): SearchKey {
    this.#reader.need(' ');
    const field = this.#reader.astring();
    this.#reader.need(' ');
    const words = this.#reader.astring();
    const written: Written = [`${word} `, ...field.written, ' ', ...words.written];
    const name = field.octets.toString('latin1').toLowerCase();
    return { kind: 'shown', test: { on: 'header', field: name, words: words.octets }, written };
  }

  #sent(word: string, name: 'SENTBEFORE' | 'SENTON' | 'SENTSINCE'): SearchKey {
    const { day, text } = this.#date();
    const relation = name === 'SENTBEFORE' ? 'before' : name === 'SENTON' ? 'on' : 'since';
    return { kind: 'shown', test: { on: 'date', relation, day }, written: [`${word} ${text}`] };
  }

  /** date = date-text / DQUOTE date-text DQUOTE */
  #date(): { day: number; text: string } {
    this.#reader.need(' ');
    const { octets, written } = this.#reader.atomOrQuoted();
    const day = dayOf(octets.toString('latin1'));
    const [text] = written;
    if (day === null || typeof text !== 'string') throw new NotInGrammar('no date');
    return { day, text };
  }

  // search-modseq = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer (RFC 7162 §7)
  #modSeqKey(word: string): SearchKey {
    this.#modSeq = true;
    this.#reader.need(' ');
    if (this.#reader.peek() !== '"') return stored(word, ' ', this.#matched(MODSEQ));
    const entry = this.#reader.astring().written;
    this.#reader.need(' ');
    const type = this.#matched(/^(?:priv|shared|all)$/i);
    this.#reader.need(' ');
    return { kind: 'stored', written: [`${word} `, ...entry, ` ${type} ${this.#matched(MODSEQ)}`] };
  }

  #argument(form: RegExp): string {
    this.#reader.need(' ');
    return this.#matched(form);
  }

  #matched(form: RegExp): string {
    const text = this.#reader.atom();
    if (!form.test(text)) throw new NotInGrammar('an argument of another form');
    return text;
  }
}

type Head = Pick<SearchProgram, 'command' | 'returns' | 'charset'>;

function stored(...text: string[]): SearchKey {
  return { kind: 'stored', written: [text.join('')] };
}

/** What a key that is no parenthesis begins with. */
function isName(character: string): boolean {
  return character !== '(' && character !== '';
}

const SEQUENCE = /^(?:\$|(?:[1-9][0-9]{0,9}|\*)(?:[:,](?:[1-9][0-9]{0,9}|\*))*)$/;
const NUMBER = /^[0-9]{1,19}$/;
const MODSEQ = NUMBER;
const ATOM = /^[^\\]+$/;
const DATE = /date/;

const WITHOUT_ARGUMENT: ReadonlySet<string> = new Set(
  (
    'ANSWERED DELETED FLAGGED NEW OLD RECENT SEEN UNANSWERED UNDELETED UNFLAGGED UNSEEN DRAFT UNDRAFT ' +
    'SAVEDATESUPPORTED'
  ).split(' '),
);

const ARGUMENTS: ReadonlyMap<string, RegExp> = new Map([
  ...each(ATOM, 'KEYWORD UNKEYWORD EMAILID THREADID'),
  ...each(NUMBER, 'LARGER SMALLER OLDER YOUNGER X-GM-MSGID X-GM-THRID'),
  ...each(DATE, 'BEFORE ON SINCE SAVEDBEFORE SAVEDON SAVEDSINCE'),
]);

function each(form: RegExp, names: string): [string, RegExp][] {
  return names.split(' ').map((name) => [name, form]);
}
