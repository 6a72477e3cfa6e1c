import { NumberSet } from './search/number-set.ts';

/** Messages of one answer that are looked at; what was said of further ones is said anew. */
const MESSAGES = 20_000;

/** Which copies which messages have got (RFC 4315 §3): the first of one list is the first of the other. */
export type Copied = { uidValidity: number; from: readonly number[]; to: readonly number[] };

/** `[COPYUID 38505 304,319:320 3956:3958]` in a status response, tagged or not; null: it is not in it, or not in its grammar. */
export function copiedIn(line: Buffer): Copied | null {
  if (line.indexOf('COPYUID') === -1) return null;
  const text = line.toString('latin1');
  const found = /^[^ ]+ OK \[COPYUID ([0-9]{1,10}) ([0-9:,]+) ([0-9:,]+)\]/i.exec(text);
  const from = numbersIn(found?.[2] ?? '');
  const to = numbersIn(found?.[3] ?? '');
  if (found === null || from === null || to === null || from.length !== to.length) return null;
  return { uidValidity: Number(found[1]), from, to };
}

/** In the order in which they are written. */
function numbersIn(set: string): number[] | null {
  const numbers: number[] = [];
  for (const range of set.split(',')) {
    const found = NumberSet.read(range);
    if (found === null || numbers.length + found.size > MESSAGES) return null;
    for (const [from, to] of found.ranges()) for (let uid = from; uid <= to; uid++) numbers.push(uid);
  }
  return numbers;
}
