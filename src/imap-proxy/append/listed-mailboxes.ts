/** What a mail server says of one mailbox by LIST (RFC 9051 §7.3.1, RFC 6154 §3) and STATUS (RFC 5819 §2). */
export type ListedMailbox = {
  /** As it is written there, without quotes; latin1. */
  name: string;
  /** Lower case. */
  attributes: readonly string[];
  /** The same for the same mailbox under another name: MAILBOXID (RFC 8474 §4.3), else UIDVALIDITY; null: it was not told. */
  id: string | null;
};

/** Mailboxes that are there, in the order in which LIST has them. Responses are whole, with their literals. */
export function listedMailboxes(responses: readonly Buffer[]): ListedMailbox[] {
  const found: { name: string; attributes: readonly string[] }[] = [];
  const ids = statusIds(responses);
  for (const response of responses) {
    const text = response.toString('latin1');
    const list = LIST.exec(text);
    if (list === null) continue;
    const attributes = (list[1] ?? '').toLowerCase().split(' ');
    const name = nameAt(text.slice(list[0].length))?.name;
    // RFC 5258 §3: a name that is only the parent of others, or was subscribed to once.
    if (name !== undefined && !attributes.includes('\\nonexistent')) found.push({ name, attributes });
  }
  return found.map((each) => ({ ...each, id: ids.get(each.name) ?? null }));
}

/** The ids of mailboxes by their names. */
export function statusIds(responses: readonly Buffer[]): Map<string, string> {
  const ids = new Map<string, string>();
  for (const response of responses) {
    const text = response.toString('latin1');
    const said = STATUS.test(text) ? nameAt(text.slice('* STATUS '.length)) : null;
    const id = said === null ? null : idIn(said.rest);
    if (said !== null && id !== null) ids.set(said.name, id);
  }
  return ids;
}

const LIST = /^\* LIST \(([^()]*)\) (?:NIL|"(?:[^"\\\r\n]|\\["\\])") /i;
const STATUS = /^\* STATUS /i;

/** An astring and what stands behind it; null: none. */
function nameAt(text: string): { name: string; rest: string } | null {
  const literal = /^\{([0-9]{1,10})\}\r\n/.exec(text);
  if (literal !== null) {
    const from = literal[0].length;
    const end = from + Number(literal[1]);
    return { name: text.slice(from, end), rest: text.slice(end) };
  }
  const found = /^"((?:[^"\\\r\n]|\\["\\])*)"|^[^\s"]+/.exec(text);
  if (found === null) return null;
  const name = found[1]?.replace(/\\(["\\])/g, '$1') ?? found[0];
  return { name, rest: text.slice(found[0].length) };
}

function idIn(items: string): string | null {
  const mailboxId = /[( ]MAILBOXID \(([^()\s]+)\)/i.exec(items)?.[1];
  if (mailboxId !== undefined) return `id ${mailboxId}`;
  const uidValidity = /[( ]UIDVALIDITY ([1-9][0-9]{0,9})[ )]/i.exec(items)?.[1];
  return uidValidity === undefined ? null : `uidvalidity ${uidValidity}`;
}
