/** One rule about what clients store; the configuration's. null: it does not matter. */
export type AppendRule = {
  /** Names of mailboxes, `*` standing for anything. */
  mailbox: readonly string[] | null;
  /** RFC 6154 §2, with the backslash. */
  specialUse: readonly string[] | null;
  login: readonly string[] | null;
  store: 'verbatim' | 'at-rest';
  subject: 'keep' | 'protect';
};

/**
 * What is known of the use of a mailbox. `not-told`: this mail server speaks of none; `not-there`: it has no such mailbox, or does not
 * list it.
 */
export type SpecialUses = ReadonlySet<string> | 'not-asked' | 'not-told' | 'not-there';

export type AppendDecision =
  | { kind: 'verbatim' }
  | { kind: 'at-rest'; subject: 'keep' | 'protect' }
  /** It depends on the mailbox's special use, and that is not known. */
  | { kind: 'depends'; on: readonly string[]; isThere: boolean };

/**
 * How a message is stored. The first rule that applies decides, verbatim without one. A rule that nobody can judge decides too:
 * whoever falls through it would store in the clear what was to be encrypted.
 *
 * @param mailbox as `readMailboxName` gives it
 */
export function decideAppend(
  rules: readonly AppendRule[],
  { login, mailbox }: { login: string; mailbox: string },
  uses: SpecialUses,
): AppendDecision {
  for (const rule of rules) {
    if (rule.login !== null && !rule.login.includes(login)) continue;
    const applies = appliesTo(rule, mailbox, uses);
    if (applies === 'depends')
      return { kind: 'depends', on: rule.specialUse ?? [], isThere: uses !== 'not-there' };
    if (applies)
      return rule.store === 'verbatim' ? { kind: 'verbatim' } : { kind: 'at-rest', subject: rule.subject };
  }
  return { kind: 'verbatim' };
}

function appliesTo(
  { mailbox: patterns, specialUse, store }: AppendRule,
  mailbox: string,
  uses: SpecialUses,
): boolean | 'depends' {
  if (patterns === null && specialUse === null) return true;
  // To some mail servers Sent and SENT are one mailbox: who writes it otherwise must not get past its encryption.
  const anyCase = store === 'at-rest';
  if (patterns?.some((pattern) => matches(pattern, mailbox, anyCase)) === true) return true;
  if (specialUse === null) return false;
  if (typeof uses === 'string') return 'depends';
  return specialUse.some((use) => uses.has(use.toLowerCase()));
}

function matches(pattern: string, mailbox: string, anyCase: boolean): boolean {
  if (anyCase) return matches(caseless(pattern), caseless(mailbox), false);
  if (mailbox === 'INBOX' && pattern.toUpperCase() === 'INBOX') return true;
  const [first = '', ...others] = pattern.normalize('NFC').split('*');
  const last = others.pop();
  if (last === undefined) return mailbox === first;
  if (!mailbox.startsWith(first)) return false;
  // As early as possible each, so that as much as possible is left for the others.
  let at = first.length;
  for (const piece of others) {
    const found = mailbox.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return mailbox.length - last.length >= at && mailbox.endsWith(last);
}

function caseless(text: string): string {
  return text.normalize('NFC').toUpperCase().toLowerCase();
}

/** Whether mail of this login may be stored encrypted anywhere. */
export function mayStoreAtRest(rules: readonly AppendRule[], login: string): boolean {
  return rules.some((rule) => rule.store === 'at-rest' && (rule.login?.includes(login) ?? true));
}
