import type { MailServer } from '../connections/mail-server.ts';
import { SealgateError } from '../errors.ts';
import type { Secret } from '../log/secret.ts';

/** A mailbox that copies of mail go into. */
export type Archive = {
  /** In the configuration. */
  name: string;
  server: MailServer;
  /** In which `{login}` stands for the sender's: a master user of the mail server logs in for her. */
  login: string;
  password: Secret;
  mailbox: string;
};

const PLACE = '{login}';

/** @throws SealgateError `archive.unknown` (temporary), `archive.login` (permanent) */
export function checkArchives(
  archives: readonly Pick<Archive, 'name' | 'login'>[],
  sender: string,
  names: readonly string[],
): void {
  for (const name of names) {
    const archive = archives.find((one) => one.name === name);
    if (archive === undefined) throw unknown(name);
    loginFor(archive, sender);
  }
}

function unknown(name: string): SealgateError {
  return new SealgateError({
    code: 'archive.unknown',
    duration: 'temporary',
    publicText: `The gateway has no archive ${name}, into which a copy of the mail has to go; tell your administrator.`,
  });
}

/**
 * The login for the archive of one sender.
 *
 * Must never happen: a sender whose login reads, with what is around it, as the mailbox of somebody else (`bob*` before `*master`).
 *
 * @throws SealgateError `archive.login` (permanent)
 */
export function loginFor({ name, login: template }: Pick<Archive, 'name' | 'login'>, sender: string): string {
  const parts = template.split(PLACE);
  if (parts.length === 1) return template;
  const around = parts.flatMap((part, i) => [
    ...(i > 0 ? [[...part][0]] : []),
    ...(i < parts.length - 1 ? [[...part].at(-1)] : []),
  ]);
  const separators = around.filter((one) => one !== undefined && !/[\p{L}\p{N}]/u.test(one));
  const found = separators.find((one) => one !== undefined && sender.includes(one));
  if (found === undefined && !/\p{Cc}/u.test(sender)) return parts.join(sender);
  throw new SealgateError({
    code: 'archive.login',
    duration: 'permanent',
    publicText: `No copy of the mail can be put into the archive ${name}, because this login cannot be told from others there; tell your administrator.`,
    reason: found === undefined ? 'control characters' : `the login has the separator ${found}`,
  });
}
