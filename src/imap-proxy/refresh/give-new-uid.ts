import { readSearchResponse } from '../search/search-response.ts';
import type { Exchange } from '../session.ts';
import type { UpstreamSide } from '../upstream-side.ts';

/** `refused`: nothing has changed. `doubtful`: it may be there twice now, and nothing more is done about it. */
export type Renewal = 'renewed' | 'refused' | 'doubtful';

const NOTHING: ReadonlySet<string> = new Set();
const SEARCH: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);
const RIGHTS: ReadonlySet<string> = new Set(['MYRIGHTS']);

/**
 * Gives a message a new UID in its own mailbox, flags and INTERNALDATE kept by the mail server: by MOVE (RFC 6851 §3.3: whole or
 * not at all), or else by COPY, and the original goes once the copy was found.
 *
 * Must never happen: the original goes before its copy is known to be there. Whatever ends this in the middle, the worst is a message
 * that is there twice.
 *
 * @param octets its size (RFC822.SIZE)
 */
export async function giveNewUid(
  exchange: Exchange,
  upstreamSide: UpstreamSide,
  uid: number,
  octets: number,
): Promise<Renewal> {
  const { upstreamCapabilities, views } = exchange.parts;
  const mailbox = Buffer.from(views.mailbox, 'latin1');
  const says = async (command: string): Promise<boolean> =>
    (await upstreamSide.ask(command, NOTHING)).reply.status === 'OK';
  if (upstreamCapabilities.has('MOVE')) {
    const { reply } = await upstreamSide.ask([`UID MOVE ${uid} `, mailbox], NOTHING);
    if (reply.status === 'OK') return 'renewed';
    // Refused is mostly what may not be removed, and a copy of that would be there for good.
    return reply.status === 'lost' ? 'doubtful' : 'refused';
  }
  // Without UIDPLUS only everything that is marked could be expunged, whoever has marked it.
  if (!upstreamCapabilities.has('UIDPLUS')) return 'refused';
  if (upstreamCapabilities.has('ACL') && !(await mayRemove(upstreamSide, mailbox))) return 'refused';
  const { reply } = await upstreamSide.ask([`UID COPY ${uid} `, mailbox], NOTHING);
  if (reply.status !== 'OK') return reply.status === 'lost' ? 'doubtful' : 'refused';
  const copy = copiedTo(reply.line, uid, views.uidValidity);
  if (copy === null || !(await isThere(upstreamSide, copy, octets))) return 'doubtful';
  if (!(await says(`UID STORE ${uid} +FLAGS.SILENT (\\Deleted)`))) return 'doubtful';
  return (await says(`UID EXPUNGE ${uid}`)) ? 'renewed' : 'doubtful';
}

/** The one UID in `[COPYUID uidvalidity from to]` (RFC 4315 §3); null: not told, or of something else. */
export function copiedTo(line: Buffer, uid: number, uidValidity: number): number | null {
  const found = /\[COPYUID ([0-9]{1,10}) ([0-9]{1,10}) ([0-9]{1,10})\]/i.exec(
    line.toString('latin1', 0, 300),
  );
  if (found === null || Number(found[1]) !== uidValidity || Number(found[2]) !== uid) return null;
  const copy = Number(found[3]);
  return copy > uid ? copy : null;
}

/** RFC 4314 §4: `t` marks as deleted, `e` expunges; `d` is both (§2.1.1). */
async function mayRemove(upstreamSide: UpstreamSide, mailbox: Buffer): Promise<boolean> {
  const { answers } = await upstreamSide.ask(['MYRIGHTS ', mailbox], RIGHTS);
  const said = answers[0]?.octets.toString('latin1') ?? '';
  const rights = /[ \n]"?([a-z0-9]+)"?\r\n$/i.exec(said)?.[1] ?? '';
  return rights.includes('d') || (rights.includes('t') && rights.includes('e'));
}

async function isThere(upstreamSide: UpstreamSide, uid: number, octets: number): Promise<boolean> {
  const command = `UID SEARCH UID ${uid} UNDELETED LARGER ${octets - 1} SMALLER ${octets + 1}`;
  const { reply, answers } = await upstreamSide.ask(command, SEARCH);
  if (reply.status !== 'OK') return false;
  return answers.some(({ octets: line }) => [...(readSearchResponse(line)?.numbers ?? [])].includes(uid));
}
