import { createHash } from 'node:crypto';
import type { OctetSource } from '../../octets/source.ts';
import type { CommandContext } from '../commands/command-context.ts';
import { isOriginal } from '../gathering.ts';
import type { Injected } from '../injected-fetch.ts';
import { NumberSet } from '../search/number-set.ts';
import { readSearchResponse } from '../search/search-response.ts';
import { giveNewUid } from './give-new-uid.ts';
import { REFRESH_MS } from './refreshing.ts';

const SEARCH: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);

/**
 * Messages that were shown as such that no key opens, and that a key opens now, get new UIDs, and so do those that another renderer has
 * served otherwise than this one could: under the old one clients keep what they have. Once for each SELECT, and within a command in which messages may go and come (RFC 9051 §7.5.1); the mail server's own
 * news tell the client.
 */
export async function refreshMailbox({ exchange, upstreamSide }: CommandContext): Promise<void> {
  const { refreshing, views, upstreamCapabilities, session, log, timers } = exchange.parts;
  if (refreshing?.take() !== true || views.mailbox === '' || views.uidValidity === 0) return;
  // Gmail takes a message into the mailbox where it is for nothing to do, and one that leaves it for archived.
  if (upstreamCapabilities.has('X-GM-EXT-1')) return;
  if (!upstreamCapabilities.has('MOVE') && !upstreamCapabilities.has('UIDPLUS')) return;
  const { settings, principal } = refreshing;
  const { fit, tried } = settings;
  const keys = await fit.keys(principal);
  const nameOf = (uid: number) => `${principal.login} ${views.uidValidity} ${uid} ${views.mailbox}`;
  const contentOf = (digest: string) => `${principal.login} ${views.uidValidity} ${digest} ${views.mailbox}`;
  const until = timers.now() + REFRESH_MS;
  const outdated = new Set(await views.outdated());
  const served = [...new Set([...(await views.servedWithoutKey()), ...outdated])];
  const candidates = served.filter((uid) => !tried.has(nameOf(uid), keys)).sort((one, other) => other - one);
  if (candidates.length === 0) return;
  let renewed = 0;
  for (const uid of await thoseThere(candidates.slice(0, settings.messages))) {
    if (timers.now() >= until) {
      refreshing.continueLater();
      break;
    }
    const fitting = await ifFitting(uid);
    // Nobody has tried it: the client has gone, or the mail server.
    if (fitting === 'lost') break;
    // Another session of the login may be at it.
    const isTried = tried.has(nameOf(uid), keys);
    tried.add(nameOf(uid), keys);
    if (fitting === null || isTried || tried.has(contentOf(fitting.digest), keys)) continue;
    tried.add(contentOf(fitting.digest), keys);
    const renewal = await giveNewUid(exchange, upstreamSide, uid, fitting.octets);
    if (renewal === 'renewed') renewed++;
    // What one was refused for, all would be; and doubt is no state to go on from.
    else break;
  }
  if (renewed > 0) log.write({ event: 'mail.renewed', level: 'info', session, messages: renewed });

  async function thoseThere(uids: readonly number[]): Promise<NumberSet> {
    await exchange.quiet();
    const set = NumberSet.of(uids);
    let found = NumberSet.empty;
    for (const piece of set.pieces(7_000)) {
      const { reply, answers } = await upstreamSide.ask(`UID SEARCH UID ${piece} UNDELETED`, SEARCH);
      if (reply.status !== 'OK') return NumberSet.empty;
      for (const { octets } of answers)
        found = found.or(readSearchResponse(octets)?.numbers ?? NumberSet.empty);
    }
    return found.and(set);
  }

  /** null: a new UID would change nothing, or it is not to be had. */
  async function ifFitting(uid: number): Promise<{ octets: number; digest: string } | 'lost' | null> {
    const found: Injected[] = [];
    const reply = await upstreamSide.inject(
      `UID FETCH ${uid} (UID BODY.PEEK[])`,
      (messageClass) => (messageClass === 'encrypted' || outdated.has(uid)) && found.length === 0,
      (injected) => found.push(injected),
    );
    let fitting: { octets: number; digest: string } | null = null;
    for (const { uid: told, original } of found) {
      if (original === null || !isOriginal(original)) continue;
      try {
        const isIt = reply.status === 'OK' && told === uid;
        if (isIt && (outdated.has(uid) || (await fit.fits(principal, original.octets))))
          fitting = { octets: original.octets.length, digest: await digestOf(original.octets) };
      } finally {
        await original.discard();
      }
    }
    return reply.status === 'lost' ? 'lost' : fitting;
  }
}

async function digestOf(octets: OctetSource): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of octets.read()) hash.update(chunk);
  return hash.digest('hex');
}
