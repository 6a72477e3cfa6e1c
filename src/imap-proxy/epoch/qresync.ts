/**
 * The QRESYNC parameter of SELECT and EXAMINE (RFC 7162 §3.2.5) by which a client says what it has cached:
 *
 *   "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")"
 */
const QRESYNC = /(?<=[( ])QRESYNC \(([0-9]{1,10}) [0-9]{1,20}(?: [0-9:,]+)?(?: \([0-9:,]+ [0-9:,]+\))?\)/i;

/**
 * The parameters of SELECT as the mail server gets them: what the client has cached under the UIDVALIDITY of now it may go on with; what
 * it has under another one counts for nothing, as RFC 7162 has it, so the mail server does not hear of it.
 *
 * @param list in its parentheses
 * @param upstreamOf the mail server's number for one that the client has; null: it is not that of now
 * @returns empty: there are no parameters left; null: not in the grammar
 */
export function resyncList(list: string, upstreamOf: (told: number) => number | null): string | null {
  if (!/QRESYNC/i.test(list)) return list;
  const found = QRESYNC.exec(list);
  const [whole = '', told = ''] = found ?? [];
  const rest = list.replace(whole, '');
  if (found === null || /QRESYNC/i.test(rest)) return null;
  const upstream = upstreamOf(Number(told));
  if (upstream !== null) return list.replace(whole, () => whole.replace(told, String(upstream)));
  const others = rest.slice(1, -1).trim().replace(/ {2,}/g, ' ');
  return others === '' ? '' : `(${others})`;
}
