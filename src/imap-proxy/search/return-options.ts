import { NumberSet } from './number-set.ts';
import { NotInGrammar, type PieceReader } from './piece-reader.ts';

/** What an answer says of what was found (RFC 4731 §3.1, RFC 5182 §2.1, RFC 9394 §3.1). */
export type ReturnOptions = {
  min: boolean;
  max: boolean;
  all: boolean;
  count: boolean;
  /** What was found becomes `$`. */
  save: boolean;
  partial: PartialRange | null;
};

/** Results by their place, 1 being the first one, or the last one where `fromEnd`. */
export type PartialRange = { from: number; to: number; fromEnd: boolean /** As asked for. */; text: string };

export const NO_RETURN: ReturnOptions = {
  ...{ min: false, max: false, all: true, count: false, save: false },
  partial: null,
};

/** What is found, in UIDs or message numbers. */
export type Found = {
  numbers: NumberSet;
  /** The highest mod-sequence, where the search asked for one (RFC 7162 §3.1.5). */
  modSeq: bigint | null;
};

/**
 * search-return-opts = "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"
 *
 * Reads from the parenthesis on. Throws NotInGrammar for an option that is not known, as of CONTEXT (RFC 5267).
 */
export function readReturnOptions(reader: PieceReader): ReturnOptions {
  const options = { ...NO_RETURN, all: false };
  reader.need('(');
  let first = true;
  while (!reader.take(')')) {
    if (!first) reader.need(' ');
    first = false;
    const name = reader.atom().toLowerCase();
    switch (name) {
      case 'min':
      case 'max':
      case 'all':
      case 'count':
      case 'save':
        options[name] = true;
        break;
      case 'partial':
        // RFC 9394 §3.1: one of them, and not beside ALL.
        if (options.partial !== null) throw new NotInGrammar('PARTIAL twice');
        reader.need(' ');
        options.partial = readRange(reader.atom());
        break;
      default:
        throw new NotInGrammar('a result that is not known');
    }
  }
  if (options.all && options.partial !== null) throw new NotInGrammar('both ALL and PARTIAL');
  const { min, max, count, save, partial } = options;
  // RFC 4731 §3.1: () is (ALL); RFC 5182 §2.1: SAVE alone says nothing.
  if (!min && !max && !count && !save && partial === null) options.all = true;
  return options;
}

// partial-range = nz-number ":" nz-number / "-" nz-number ":" "-" nz-number
function readRange(text: string): PartialRange {
  const found = /^(-?)([1-9][0-9]{0,9}):(-?)([1-9][0-9]{0,9})$/.exec(text);
  if (found === null || found[1] !== found[3]) throw new NotInGrammar('no range');
  const [one, other] = [Number(found[2]), Number(found[4])];
  return { from: Math.min(one, other), to: Math.max(one, other), fromEnd: found[1] === '-', text };
}

/** The results at the places that were asked for. */
export function partOf(numbers: NumberSet, { from, to, fromEnd }: PartialRange): NumberSet {
  if (!fromEnd) return numbers.slice(from - 1, to);
  const { size } = numbers;
  return numbers.slice(Math.max(size - to, 0), Math.max(size - from + 1, 0));
}

/** What becomes `$` (RFC 5182 §2.4, RFC 9394 §3.2): what was returned where only some was, all of it otherwise. */
export function savedOf(numbers: NumberSet, { min, max, all, count, partial }: ReturnOptions): NumberSet {
  if (all || count || (!min && !max && partial === null)) return numbers;
  const ends = [min ? numbers.min : null, max ? numbers.max : null].filter((each) => each !== null);
  const saved = NumberSet.of(ends);
  return partial === null ? saved : saved.or(partOf(numbers, partial));
}

/** The untagged answer with its line end; null: there is none, since the result is only saved. */
export function writeAnswer(
  { numbers, modSeq }: Found,
  options: ReturnOptions | null,
  { tag, byUid }: { tag: string; byUid: boolean },
): string | null {
  const highest = modSeq === null || numbers.isEmpty ? null : modSeq;
  if (options === null) {
    const list = [...numbers].map((number) => ` ${number}`).join('');
    return `* SEARCH${list}${highest === null ? '' : ` (MODSEQ ${highest})`}\r\n`;
  }
  const { min, max, all, count, partial } = options;
  if (!min && !max && !all && !count && partial === null) return null;
  const data: string[] = [`* ESEARCH (TAG "${tag}")`];
  if (byUid) data.push('UID');
  if (min && numbers.min !== null) data.push(`MIN ${numbers.min}`);
  if (max && numbers.max !== null) data.push(`MAX ${numbers.max}`);
  if (all && !numbers.isEmpty) data.push(`ALL ${numbers}`);
  if (count) data.push(`COUNT ${numbers.size}`);
  if (partial !== null) {
    const part = partOf(numbers, partial);
    data.push(`PARTIAL (${partial.text} ${part.isEmpty ? 'NIL' : part})`);
  }
  if (highest !== null) data.push(`MODSEQ ${highest}`);
  return `${data.join(' ')}\r\n`;
}
