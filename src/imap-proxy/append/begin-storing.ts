import type { SessionId } from '../../ids.ts';
import type { Log } from '../../log/log.ts';
import { AtRestMarks } from '../../mail-view/at-rest-marker.ts';
import type { ViewNames } from '../../mail-view/view-names.ts';
import type { AtRestStory, Principal } from '../../pipeline/ports.ts';
import { AtRestMessages } from '../../reading/at-rest-messages.ts';
import type { Timers } from '../../reading/timers.ts';
import { type AppendRule, mayStoreAtRest } from './append-rules.ts';
import { type AtRestMailboxes, orTrue, Storing } from './storing.ts';

/** How a listener stores what its clients put into mailboxes. */
export type StoringSettings = {
  rules: readonly AppendRule[];
  story: AtRestStory;
  mailboxes: AtRestMailboxes;
};

export type StoringSession = {
  session: SessionId;
  principal: Principal;
  /** 32 random octets of the installation. */
  secret: Buffer;
  names: ViewNames;
  log: Log;
  timers: Timers;
};

/** null: nothing is encrypted at rest for this login, neither by the rules of now nor by those there were. */
export async function beginStoring(
  { rules, story, mailboxes }: StoringSettings,
  { principal, secret, names, ...session }: StoringSession,
): Promise<Storing | null> {
  const { login } = principal;
  if (!mayStoreAtRest(rules, login) && !(await orTrue(mailboxes.any(login)))) return null;
  const marks = new AtRestMarks(secret, names, login);
  const messages = new AtRestMessages({ ...session, principal, marks, story });
  return new Storing({ login, rules, messages, known: mailboxes });
}
