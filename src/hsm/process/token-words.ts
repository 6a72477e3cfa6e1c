import type { Inventory } from '../inventory.ts';
import type { TokenSelector } from '../source-kinds.ts';

/** What is said of a token that is not there, or of which there are several. */

type Present = Pick<NonNullable<Inventory['token']>, 'label' | 'serial'>;

/** A token that comes and goes with a person. `last`: label of the card that was meant by this before; null: nobody knows. */
export type ExpectedCard = { last: string | null };

/**
 * @param present tokens that are there and not meant
 * @param card null: a token that should always be there
 */
export function absentToken(
  selector: TokenSelector,
  present: readonly Present[],
  card: ExpectedCard | null,
): string {
  const there = present
    .map(({ label, serial }) => `${quoted(label)} (serial ${printable(serial)})`)
    .join(', ');
  if (card !== null) return absentCard(selector, there, card);
  if (there !== '') return `${wanted(selector)} is not there; there are: ${there}.`;
  return `${wanted(selector)} is not there; no token is, so check that it is plugged in or its service runs.`;
}

/** Read by the card's person, who may have the wrong one in hand. */
function absentCard({ reader, ...selector }: TokenSelector, there: string, { last }: ExpectedCard): string {
  const { label, ...rest } = selector;
  const name = last ?? label;
  const words = inWords(name === label ? rest : selector);
  const which =
    name === null && words === '' ? 'No card' : `The card${name === null ? '' : ` ${quoted(name)}`}${words}`;
  const where = which === 'No card' ? 'is in' : 'is not in';
  const place = reader === null ? 'the reader' : `the reader ${quoted(reader)}`;
  return there === ''
    ? `${which} ${where} ${place}; insert it and try again. If it is in, “sealgate card status” says what is wrong.`
    : `${which} ${where} ${place}, but there is ${there}; insert the right one and try again.`;
}

/** @param found more than one */
export function ambiguousToken(selector: TokenSelector, found: readonly Present[]): string {
  const serials = found.map(({ serial }) => printable(serial)).join(', ');
  return `${wanted(selector)} may be any of ${found.length}; name the one to use by its serial number: ${serials}.`;
}

function wanted(selector: TokenSelector): string {
  return `The token${inWords(selector)}`;
}

function inWords(selector: Partial<TokenSelector>): string {
  const words = Object.entries(selector).flatMap(([name, value]) =>
    value === null ? [] : [`${name} “${printable(value)}”`],
  );
  return words.length === 0 ? '' : ` with ${words.join(' and ')}`;
}

/** A token's label in a sentence. */
export function quoted(label: string): string {
  return `“${printable(label)}”`;
}

/** A token's own words in a sentence for people: no control characters, bounded. */
function printable(text: string): string {
  return text.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '?').slice(0, 64);
}
