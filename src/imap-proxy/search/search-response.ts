import { limits } from '../../limits.ts';
import { HIGHEST_NUMBER, NumberSet } from './number-set.ts';
import type { Found } from './return-options.ts';

/**
 * What a mail server answers to a SEARCH or `SEARCH RETURN (ALL)` of the gateway's own:
 *
 *   mailbox-data     = "SEARCH" *(SP nz-number) [SP "(" "MODSEQ" SP mod-sequence-value ")"]
 *   esearch-response = "ESEARCH" [SP "(TAG " … ")"] [SP "UID"] *(SP search-return-data)
 *
 * `line`: a whole response with its line end. null: not in the grammar, or more numbers than are worked with.
 */
export function readSearchResponse(line: Buffer): Found | null {
  const text = line.toString('latin1', 0, line.length - 2);
  if (/^\* ESEARCH(?: |$)/i.test(text)) return readExtended(text.slice('* ESEARCH'.length));
  return /^\* SEARCH(?: |$)/i.test(text) ? readPlain(text.slice('* SEARCH'.length)) : null;
}

function readPlain(text: string): Found | null {
  const modSeq = / ?\(MODSEQ ([0-9]{1,19})\) *$/i.exec(text);
  const list = modSeq === null ? text : text.slice(0, modSeq.index);
  const numbers = readNumbers(list);
  if (numbers === null) return null;
  return { numbers: NumberSet.of(numbers), modSeq: modSeq === null ? null : BigInt(modSeq[1] ?? 0) };
}

/** Numbers with blanks before each, in their order; null: not so, or too many. */
export function readNumbers(text: string): number[] | null {
  const numbers: number[] = [];
  for (let at = 0; at < text.length; ) {
    if (text.charCodeAt(at) !== 0x20) return null;
    at++;
    // Some servers end with a blank.
    if (at === text.length) break;
    let number = 0;
    const start = at;
    for (; at < text.length; at++) {
      const digit = text.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) break;
      number = number * 10 + digit;
    }
    if (at === start || at - start > 10 || number === 0 || number > HIGHEST_NUMBER) return null;
    if (numbers.push(number) > limits.imap.searchResults) return null;
  }
  return numbers;
}

function readExtended(text: string): Found | null {
  let rest = text.replace(/^ \(TAG "(?:[^"\\]|\\["\\])*"\)/i, '').replace(/^ UID(?= |$)/i, '');
  let numbers = NumberSet.empty;
  let modSeq: bigint | null = null;
  while (rest !== '') {
    const found = /^ ([A-Za-z]+) ([0-9:,]+)/.exec(rest);
    if (found === null) return null;
    const [whole, name = '', value = ''] = found;
    if (/^ALL$/i.test(name)) {
      const all = NumberSet.read(value);
      if (all === null || all.size > limits.imap.searchResults) return null;
      numbers = all;
    } else if (/^MODSEQ$/i.test(name)) {
      if (!/^[0-9]{1,19}$/.test(value)) return null;
      modSeq = BigInt(value);
    }
    rest = rest.slice(whole.length);
  }
  return { numbers, modSeq };
}
