import { limits } from '../../limits.ts';
import type { CommandContext } from '../commands/command-context.ts';
import { NumberSet } from '../search/number-set.ts';
import { readSearchResponse } from '../search/search-response.ts';

const SEARCH: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);

/**
 * Looks for the markers of messages that lie encrypted at rest, where there may be some: once for each SELECT, and again when
 * messages have come. Afterwards a listing says what is in them.
 *
 * Must never happen: a message answered for before it was looked at, so that it has another size, or other octets, later.
 *
 * @param byUid of the client's command that waits for it: where that names message numbers, only commands are sent in which no EXPUNGE
 *   may come (RFC 9051 §7.5.1), so that they mean the same messages behind it
 */
export async function lookForMarks(
  { exchange, upstreamSide }: CommandContext,
  byUid: boolean,
): Promise<void> {
  const { storing, views } = exchange.parts;
  if (storing === null || views.atRest === null || !storing.messages.mustLook) return;
  const { messages } = storing;
  const { mailbox } = views;
  // Of a mailbox whose name nobody has read anything may be expected.
  const known = mailbox === '' ? null : Buffer.from(mailbox, 'latin1');
  if (known !== null && !(await storing.expects(known, exchange, upstreamSide, byUid)))
    return void messages.looking();
  const uid = byUid ? 'UID ' : '';
  await exchange.quiet();
  // From here on news of further messages counts again.
  const from = messages.looking();
  const { name } = messages.marks;
  const { reply, answers } = await upstreamSide.ask(`${uid}SEARCH UID ${from}:* HEADER ${name} ""`, SEARCH);
  // Not now: whoever asks next, looks again. A server that does not know the question never will.
  if (reply.status === 'NO') messages.grew();
  if (reply.status !== 'OK') return;
  let found = NumberSet.empty;
  for (const { octets } of answers) found = found.or(readSearchResponse(octets)?.numbers ?? NumberSet.empty);
  let last = 0;
  for (const set of found.pieces(limits.imap.searchLineOctets - 200)) {
    const { status } = await upstreamSide.inject(
      `${uid}FETCH ${set} (UID BODY.PEEK[HEADER.FIELDS (${name} CONTENT-TYPE)])`,
      () => false,
      ({ uid, header, messageClass }) => {
        last = Math.max(last, uid ?? 0);
        if (uid === null || messageClass !== 'encrypted') return;
        if (messages.learn(uid, header)) views.learn(uid, 'shell');
      },
    );
    if (status !== 'OK') return messages.grew();
  }
  messages.looked(Math.max(views.uidNext, last + 1));
}
