import { limits } from '../limits.ts';

/** A URL of a certificate that may be asked; or why not, in words that follow its text. */
export type Place = { kind: 'place'; url: URL } | { kind: 'refused'; text: string };

/**
 * Judges a URL that somebody else wrote, before anything is looked up: only http and https, only allowed ports, no
 * login, no endless text. Which address its name leads to is judged where the connection is made.
 */
export function placeOf(text: string, base: URL | null, ports: ReadonlySet<number>): Place {
  const refused = (why: string): Place => ({ kind: 'refused', text: why });
  if (text.length > limits.revocation.urlCharacters) return refused('is too long.');
  const url = URL.parse(text, base ?? undefined);
  if (url === null) return refused('is no URL.');
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return refused(`is of a kind that is not fetched (${url.protocol.slice(0, 20)}).`);
  }
  if (url.username !== '' || url.password !== '') return refused('has a login in it.');
  if (!ports.has(portOf(url))) return refused(`has a port that is not allowed (${portOf(url)}).`);
  url.hash = '';
  return { kind: 'place', url };
}

function portOf({ port, protocol }: URL): number {
  if (port !== '') return Number(port);
  return protocol === 'https:' ? 443 : 80;
}

const SHOWN_CHARACTERS = 100;

/** The place for people and the log: never longer than a line, and only printable ASCII, as URL has written it. */
export function placeForPeople(url: URL | string): string {
  const text = typeof url === 'string' ? url.replace(/[^!-~]/g, '?') : `${url.origin}${url.pathname}`;
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
