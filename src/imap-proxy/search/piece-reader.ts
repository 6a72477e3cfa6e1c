import type { Piece } from '../client-command.ts';
import type { Written } from '../written-command.ts';

/** Not in the grammar, or beyond its bounds: the gateway does not judge such a command. */
export class NotInGrammar extends Error {
  override readonly name = 'NotInGrammar';
}

/** A string with how it is written: as an atom, quoted, or as a literal. */
export type ReadString = { octets: Buffer; written: Written };

/** Reads the arguments of a command from left to right: text between literals, and literals. Throws NotInGrammar. */
export class PieceReader {
  readonly #pieces: readonly Piece[];
  #index = 0;
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  get ended(): boolean {
    for (let i = this.#index; i < this.#pieces.length; i++) {
      const piece = this.#pieces[i];
      if (piece?.kind === 'literal' || (piece?.text.length ?? 0) > (i === this.#index ? this.#at : 0))
        return false;
    }
    return true;
  }

  /** Whether this character is next; takes it then. */
  take(character: string): boolean {
    if (this.#text().charAt(this.#at) !== character) return false;
    this.#at++;
    return true;
  }

  need(character: string): void {
    if (!this.take(character)) throw new NotInGrammar(`no ${character}`);
  }

  /** The next characters, not taken; '' before a literal and at the end. */
  peek(): string {
    return this.#text().charAt(this.#at);
  }

  /** atom = 1*ATOM-CHAR, and what sequence sets, dates and flags are made of. */
  atom(): string {
    return this.#match(ATOM);
  }

  /** astring = 1*ASTRING-CHAR / string */
  astring(): ReadString {
    const string = this.#string();
    if (string !== null) return string;
    const atom = this.#match(ASTRING);
    return { octets: Buffer.from(atom, 'latin1'), written: [atom] };
  }

  /** An atom that may stand in quotes (dates, names of flags for MODSEQ). */
  atomOrQuoted(): ReadString {
    return this.peek() === '"' ? this.astring() : this.#asRead(this.atom());
  }

  #asRead(atom: string): ReadString {
    return { octets: Buffer.from(atom, 'latin1'), written: [atom] };
  }

  /** null: not a string. */
  #string(): ReadString | null {
    const text = this.#text();
    if (this.#at === text.length) {
      const next = this.#pieces[this.#index + 1];
      if (next?.kind !== 'literal') return null;
      this.#index += 2;
      this.#at = 0;
      return { octets: next.octets, written: [next.octets] };
    }
    if (text.charAt(this.#at) !== '"') return null;
    const quoted = this.#match(QUOTED);
    const plain = quoted.slice(1, -1).replace(/\\(.)/g, '$1');
    return { octets: Buffer.from(plain, 'latin1'), written: [quoted] };
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text());
    if (found === null) throw new NotInGrammar('something else is expected');
    this.#at += found[0].length;
    return found[0];
  }

  #text(): string {
    const piece = this.#pieces[this.#index];
    return piece?.kind === 'text' ? piece.text : '';
  }
}

/** `$` and `\` besides, for saved results (RFC 5182) and for names of flags. */
const ATOM = /[^\x00-\x20(){%*"\]\x7f-\xff][^\x00-\x20(){%"\]\x7f-\xff]*|\*[0-9:,*]*/y;
const ASTRING = /[^\x00-\x20(){%*"\\\x7f-\xff]+/y;
/** Octets beyond ASCII stand in quoted strings where UTF8=ACCEPT (RFC 6855 §3) is on, and where clients are careless. */
const QUOTED = /"(?:[^"\\\r\n\0]|\\["\\])*"/y;
