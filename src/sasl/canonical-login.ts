import { isUtf8 } from 'node:buffer';

/** Longest login in octets. */
const MAX_LOGIN = 1_024;

/**
 * The form in which a login is looked up: as the client wrote it, ASCII letters of the domain in lower case. Null for what must not be
 * taken for anybody: not UTF-8, empty, control characters, blanks at the ends, or not in Unicode's form C, where two different
 * logins of the upstream could become one of ours.
 */
export function canonicalLogin(octets: Buffer): string | null {
  if (octets.length === 0 || octets.length > MAX_LOGIN || !isUtf8(octets)) return null;
  const login = octets.toString('utf8');
  if (/[\x00-\x1f\x7f-\x9f]/.test(login) || login.trim() !== login || login.normalize('NFC') !== login)
    return null;
  const at = login.lastIndexOf('@');
  return (
    login.slice(0, at + 1) +
    login.slice(at + 1).replace(/[A-Z]/g, (letter) => (at === -1 ? letter : letter.toLowerCase()))
  );
}
