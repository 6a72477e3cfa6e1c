import { type FetchItem, labelLength } from './fetch-item.ts';
import type { FetchItems } from './fetch-plan.ts';
import type { LiteralSize } from './framer.ts';

/** One item of a FETCH response as it arrived. */
export type ResponseItem = {
  /** `BODY[HEADER.FIELDS (From)]<0>` as the upstream wrote it. */
  label: string;
  item: FetchItem;
  /** `literal`: octets follow by `LiteralSize`; `text`: everything else, NIL, strings, numbers, lists. */
  value: { kind: 'text'; octets: Buffer } | { kind: 'literal'; size: number };
};

/**
 * Reads `* n FETCH (item value …)` as its lines and literals arrive.
 *
 *   msg-att = "(" (msg-att-dynamic / msg-att-static) *(SP …) ")"
 *
 * Literals inside a list (an ENVELOPE, a BODYSTRUCTURE) belong to the list's value; a literal that is the value itself
 * is announced by `line` and its octets are the caller's.
 */
export class FetchResponseReader {
  readonly #known: FetchItems;
  readonly items: ResponseItem[] = [];
  /** Label whose value is being read, and the pieces of a list so far. */
  #label: { text: string; pieces: Buffer[] } | null = null;
  #depth = 0;
  #ended = false;
  /** Where the UID stands in the line that was read last, with its label; null: not in it. */
  uidAt: { start: number; end: number } | null = null;

  constructor(known: FetchItems) {
    this.#known = known;
  }

  /** Whether the closing parenthesis has been read. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * One line, from its beginning or from the octet after `FETCH `. Returns the item whose literal follows, or null.
   * false: not in the grammar.
   */
  line(octets: Buffer, literal: LiteralSize | null, first: boolean): ResponseItem | null | false {
    const end = octets.length - 2 - (literal === null ? 0 : literalLabelLength(octets));
    let at = 0;
    let labelAt = 0;
    this.uidAt = null;
    if (first) {
      if (octets[0] !== 0x28) return false;
      at = 1;
    }
    for (;;) {
      if (this.#label === null) {
        if (octets[at] === 0x29 && at < end) {
          this.#ended = true;
          return at + 1 === end && literal === null ? null : false;
        }
        if (octets[at] === 0x20 && this.items.length > 0) at++;
        const length = labelLength(octets, at, end);
        if (length <= 0) return false;
        labelAt = at;
        this.#label = { text: octets.toString('latin1', at, at + length), pieces: [] };
        at += length;
        if (octets[at] !== 0x20 || at >= end) return false;
        at++;
      }
      if (at >= end && this.#depth === 0) {
        if (literal === null) return false;
        return this.#finish({ kind: 'literal', size: literal.size });
      }
      const valueEnd = this.#valueEnd(octets, at, end);
      if (valueEnd === -1) return false;
      if (this.#depth > 0) {
        // The list goes on after a literal of its own.
        if (literal === null) return false;
        this.#label.pieces.push(octets.subarray(at));
        return null;
      }
      this.#label.pieces.push(octets.subarray(at, valueEnd));
      const { pieces } = this.#label;
      const [only] = pieces;
      const { item } = this.#finish({
        kind: 'text',
        octets: pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces),
      });
      at = valueEnd;
      if (item.kind === 'neutral' && item.name === 'UID') this.uidAt = { start: labelAt, end: at };
    }
  }

  /** Octets of a literal inside a list. */
  nestedLiteral(octets: Buffer): void {
    this.#label?.pieces.push(octets);
  }

  /** Whether the literal that follows is inside a list. */
  get nested(): boolean {
    return this.#depth > 0;
  }

  #finish(value: ResponseItem['value']): ResponseItem {
    const text = this.#label?.text ?? '';
    this.#label = null;
    const item = { label: text, item: this.#known.read(text), value };
    this.items.push(item);
    return item;
  }

  /** End of the value at `at`, or `end` with `#depth` above 0 when a list is not finished; -1: not in the grammar. */
  #valueEnd(octets: Buffer, at: number, end: number): number {
    let i = at;
    if (this.#depth === 0 && octets[i] === 0x22) return quotedEnd(octets, i, end);
    for (; i < end; i++) {
      const octet = octets[i];
      if (octet === 0x28) this.#depth++;
      else if (octet === 0x29) {
        if (this.#depth === 0) return i > at ? i : -1;
        if (--this.#depth === 0) return i + 1;
      } else if (octet === 0x22) {
        if (this.#depth === 0) return -1;
        const after = quotedEnd(octets, i, end);
        if (after === -1) return -1;
        i = after - 1;
      } else if (octet === 0x20 && this.#depth === 0) return i;
    }
    return end;
  }
}

/** Octets of `{123}` or `~{123}` before the line end. */
function literalLabelLength(octets: Buffer): number {
  const brace = octets.lastIndexOf(0x7b);
  const start = octets[brace - 1] === 0x7e ? brace - 1 : brace;
  return octets.length - 2 - start;
}

function quotedEnd(octets: Buffer, at: number, end: number): number {
  for (let i = at + 1; i < end; i++) {
    if (octets[i] === 0x5c) i++;
    else if (octets[i] === 0x22) return i + 1;
  }
  return -1;
}

/** The number of an item, e.g. UID; null: absent or no number. */
export function numberOf(items: readonly ResponseItem[], name: string): number | null {
  for (const { item, value } of items) {
    if (item.kind !== 'neutral' || item.name !== name || value.kind !== 'text') continue;
    const text = value.octets.toString('latin1');
    return /^[0-9]{1,10}$/.test(text) ? Number(text) : null;
  }
  return null;
}
