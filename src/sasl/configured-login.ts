import { SealgateError } from '../errors.ts';
import { canonicalLogin } from './canonical-login.ts';

/**
 * A login of the configuration in the form in which a proven one is looked up, so that `alice@EXAMPLE.org` there is the
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
    publicText: `The login ${JSON.stringify(login)} in the configuration can never log in: it begins or ends with a blank, or holds control characters or letters in decomposed form. Write it as the mail server knows it.`,
  });
}

type Rule = { when: { login: readonly string[] | null } };

/** Rules whose logins are in that form. */
export function withConfiguredLogins<R extends Rule>(rules: readonly R[]): R[] {
  return rules.map((rule) => ({
    ...rule,
    when: { ...rule.when, login: rule.when.login?.map(configuredLogin) ?? null },
  }));
}
