import { SealgateError } from '../errors.ts';
import { canonicalLogin } from './canonical-login.ts';

/**
 * A login that an administrator has written, in the form in which a proven one is looked up, so that `alice@EXAMPLE.org` is the
 * `alice@example.org` that logs in.
 *
 * @throws SealgateError `config.login` for one that no client could log in with.
 */
export function configuredLogin(login: string): string {
  const canonical = canonicalLogin(Buffer.from(login, 'utf8'));
  if (canonical !== null) return canonical;
  throw new SealgateError({
    code: 'config.login',
    duration: 'permanent',
    publicText: `Nobody can log in as ${JSON.stringify(login)}: it begins or ends with a blank, or holds control characters or letters in decomposed form. Write it as the mail server knows it.`,
  });
}
