import type { AddressKey } from '../address-key.ts';

/**
 * The filter of a search with places for the address: `(|(mail={address})(proxyAddresses=smtp:{address}))`, or for a login. Pure.
 *
 * What must never happen: that an address says something else than an address. So every character that means something in a filter is
 * written as RFC 4515 §3 has it, whoever wrote the address.
 */
const PLACE = /\{([^{}]*)\}/g;
/** Places, and those of them of which one has to be there: otherwise it would find everybody. */
const PLACES = {
  address: { all: ['address', 'localPart', 'domain'], oneOf: ['address', 'localPart'] },
  login: { all: ['login'], oneOf: ['login'] },
} as const;
const PLACES_TEXT = {
  address: 'there are {address}, {localPart} and {domain}',
  login: 'there is {login}',
} as const;
const NEEDED_TEXT = {
  address: 'it has no {address} (nor {localPart}), so it would find everybody',
  login: 'it has no {login}, so it would find everybody',
} as const;
const LONGEST_TEMPLATE = 1_000;

/** What is wrong with a template, a clause; null: nothing. @param of whom it finds the entry */
export function templateProblem(template: string, of: keyof typeof PLACES = 'address'): string | null {
  const known: readonly string[] = PLACES[of].all;
  const needed: readonly string[] = PLACES[of].oneOf;
  if (template.length > LONGEST_TEMPLATE) return `it is longer than ${LONGEST_TEMPLATE} characters`;
  if (/\p{Cc}/u.test(template)) return 'it has control characters';
  const places = [...template.matchAll(PLACE)].map(([, name]) => name ?? '');
  const stranger = places.find((name) => !known.includes(name));
  if (stranger !== undefined) return `{${stranger}} is no place: ${PLACES_TEXT[of]}`;
  if (/[{}]/.test(template.replace(PLACE, ''))) return 'a brace is written as \\7b or \\7d';
  if (!places.some((place) => needed.includes(place))) return NEEDED_TEXT[of];
  return isOneFilter(template) ? null : 'it is not one filter in parentheses, like (mail={address})';
}

/** Precondition: `templateProblem` has none. */
export function filledIn(template: string, { exact, domain }: AddressKey): string {
  const localPart = exact.slice(0, exact.lastIndexOf('@'));
  return filled(template, { address: exact, localPart, domain });
}

/** The same for a login. */
export function filledInForLogin(template: string, login: string): string {
  return filled(template, { login });
}

function filled(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(PLACE, (_, name: string) => escaped(values[name] ?? ''));
}

/**
 * RFC 4515 §3: NUL, parentheses, asterisk and backslash as a backslash and two digits; so are other control characters and the blank,
 * which readers of filters may trim. What is not ASCII stays as it is, which is UTF-8 on the way.
 */
export function escaped(value: string): string {
  return value.replace(
    /[\0-\x20()*\\\x7f{}!&|=<>~:,]/g,
    (character) => `\\${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Parentheses fit, and nothing stands outside of the first pair. */
function isOneFilter(template: string): boolean {
  let depth = 0;
  for (let i = 0; i < template.length; i++) {
    const character = template[i];
    if (character === '\\' && !/^[0-9a-f]{2}/i.test(template.slice(i + 1))) return false;
    if (character === '(') depth++;
    if (character === ')') depth--;
    if (depth < 0 || (depth === 0 && i < template.length - 1)) return false;
  }
  return depth === 0 && template.startsWith('(') && !template.includes('()');
}
