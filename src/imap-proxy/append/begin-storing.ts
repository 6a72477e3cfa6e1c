import type { SessionId } from '../../ids.ts';
import type { Log } from '../../log/log.ts';
import { AtRestMarks } from '../../mail-view/at-rest-marker.ts';
import type { ViewNames } from '../../mail-view/view-names.ts';
import type { AtRestStory, Principal } from '../../pipeline/ports.ts';
import { AtRestMessages } from '../../reading/at-rest-messages.ts';
import type { Timers } from '../../reading/timers.ts';
import { type AppendRule, mayStoreAtRest } from './append-rules.ts';
import { type AtRestMailboxes, Storing } from './storing.ts';

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

/** null: nothing is encrypted at rest for this login, now or by its rules ever. */
export function beginStoring(
  { rules, story, mailboxes }: StoringSettings,
  { principal, secret, names, ...session }: StoringSession,
): Storing | null {
  const { login } = principal;
  if (!mayStoreAtRest(rules, login)) return null;
  const marks = new AtRestMarks(secret, names, login);
  const messages = new AtRestMessages({ ...session, principal, marks, story });
  return new Storing({ login, rules, messages, known: mailboxes });
}
