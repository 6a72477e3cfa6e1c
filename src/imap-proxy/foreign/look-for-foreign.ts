import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { CommandContext } from '../commands/command-context.ts';
import { NumberSet } from '../search/number-set.ts';
import { readSearchResponse } from '../search/search-response.ts';
import { tellNowAndThen } from '../tell-now-and-then.ts';

/** Messages of which the beginning is asked for by one command. */
const ASKED = 100;

const SEARCH: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);

/** A message by its UID, and by the number that it is asked for by. */
type Numbered = { number: number; uid: number };

/**
 * Asks of encrypted messages that nothing was said of yet whether any key of their reader's fits: once for each mailbox, and again
 * for those that have come since. Those for others are shown as they are stored, for good.
 *
 * Must never happen: a message of which something was said becomes something else. What arrives while nobody could ask is decided
 * when it is said (SaidBefore), and stays that too.
 *
 * @param byUid of the client's command that waits for it: where that names message numbers, only commands are sent in which no EXPUNGE
 *   may come (RFC 9051 §7.5.1), so that they mean the same messages behind it
 */
export async function lookForForeign(
  { exchange, upstreamSide }: CommandContext,
  tag: string,
  byUid: boolean,
): Promise<void> {
  const { foreign: look, views, timers } = exchange.parts;
  if (look?.mustLook !== true) return;
  const { judge, principal } = look;
  const from = views.undecidedFrom;
  if (from === null || (views.uidNext === from && !look.hasGrown)) return look.looking();
  await exchange.quiet();
  look.looking();
  const stopTelling = tellNowAndThen(timers, () => {
    void exchange.say(`* OK [INPROGRESS ("${tag}" NIL NIL)] Looking at messages\r\n`);
  });
  try {
    if (!(await lookFrom(from))) look.lookAgain();
  } finally {
    stopTelling();
  }

  /** false: it could not be ended. */
  async function lookFrom(first: number): Promise<boolean> {
    const encrypted: Numbered[] = [];
    let last = 0;
    const from = await fetchFrom(first);
    if (typeof from !== 'string') return from;
    const { status } = await upstreamSide.inject(
      `${from}:* (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])`,
      () => false,
      ({ msn, uid, messageClass }) => {
        // `n:*` has the last message, too, where none is behind n.
        if (uid === null || uid < first) return;
        last = Math.max(last, uid);
        const isOpen = messageClass === 'encrypted' && views.known(uid) === null;
        if (isOpen && views.kindOf(messageClass, uid) === 'shell')
          encrypted.push({ number: byUid ? uid : msn, uid });
      },
    );
    if (status !== 'OK') return false;
    encrypted.sort((one, other) => one.uid - other.uid);
    for (let at = 0; at < encrypted.length; at += ASKED) {
      const some = encrypted.slice(at, at + ASKED);
      const foreign = await foreignAmong(some);
      if (foreign === null || !(await views.foundForeign((some.at(-1)?.uid ?? 0) + 1, foreign))) return false;
    }
    return last < first || (await views.foundForeign(last + 1, []));
  }

  /** Of all messages from a UID on; true: there are none, false: the mail server does not say. */
  async function fetchFrom(first: number): Promise<string | boolean> {
    if (byUid) return `UID FETCH ${first}`;
    if (first === 1) return 'FETCH 1';
    const { reply, answers } = await upstreamSide.ask(`SEARCH UID ${first}:*`, SEARCH);
    if (reply.status !== 'OK') return false;
    const numbers = answers.flatMap(({ octets }) => readSearchResponse(octets)?.numbers.min ?? []);
    return numbers.length === 0 || `FETCH ${Math.min(...numbers)}`;
  }

  /** null: the connection is gone, or the mail server does not answer such a question now. */
  async function foreignAmong(asked: readonly Numbered[]): Promise<number[] | null> {
    const found: { uid: number; header: Buffer; body: Buffer }[] = [];
    const set = NumberSet.of(asked.map(({ number }) => number));
    const uids = new Set(asked.map(({ uid }) => uid));
    const octets = limits.view.peekedOctets;
    const { status } = await upstreamSide.inject(
      `${byUid ? 'UID ' : ''}FETCH ${set} (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE CONTENT-TRANSFER-ENCODING)] BODY.PEEK[TEXT]<0.${octets}>)`,
      () => false,
      ({ uid, messageClass, header, body }) => {
        const isAsked = uid !== null && uids.has(uid) && messageClass === 'encrypted';
        if (isAsked && body !== null) found.push({ uid, header, body });
      },
    );
    if (status !== 'OK') return null;
    const foreign: number[] = [];
    try {
      for (const { uid, header, body } of found) {
        const beginning = { header, body, whole: body.length < octets };
        if ((await judge.judge(principal, beginning)) === 'for-others') foreign.push(uid);
      }
    } catch (error) {
      // Which keys there are is not known for now.
      if (error instanceof SealgateError) return null;
      throw error;
    }
    return foreign;
  }
}
