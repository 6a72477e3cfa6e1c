import { newSessionId } from '../../../src/ids.ts';
import { octetsOf } from '../../../src/imap-proxy/answer.ts';
import { FetchItems } from '../../../src/imap-proxy/fetch-plan.ts';
import { FetchRelay, type RelayContext } from '../../../src/imap-proxy/fetch-relay.ts';
import { Framer } from '../../../src/imap-proxy/framer.ts';
import { MailboxViews } from '../../../src/imap-proxy/mailbox-views.ts';
import { readServerLine } from '../../../src/imap-proxy/server-line.ts';
import { Waits } from '../../../src/imap-proxy/waits.ts';
import { limits } from '../../../src/limits.ts';
import type { ViewKind } from '../../../src/mail-view/message-class.ts';
import { viewNames } from '../../../src/mail-view/view-names.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import { Openings } from '../../../src/reading/openings.ts';
import { systemTimers } from '../../../src/reading/timers.ts';
import { principalNamed } from '../../support/principal.ts';
import { toyControl, toyStory } from './toy-story.ts';

export const NAMES = viewNames('7f3a9c2e', 'gw.example.net');

/** A session's memory of its mailbox, whose answers are kept. */
export class RecordedViews extends MailboxViews {
  readonly learnt: [uid: number, kind: ViewKind][] = [];

  constructor() {
    super({
      ...{ session: newSessionId(), story: toyStory(toyControl()), timers: systemTimers },
      ...{ hasKeys: true, secret: Buffer.alloc(32, 7), names: NAMES, log: { write: () => undefined } },
      principal: principalNamed('bob@example.org'),
    });
  }

  override learn(uid: number, kind: ViewKind): void {
    if (this.known(uid) === null) this.learnt.push([uid, kind]);
    super.learn(uid, kind);
  }
}

/** A session in which responses are relayed whose octets end up in `said`, and answers nowhere. */
export function recordingContext(views: RecordedViews, said: Buffer[]): RelayContext {
  return {
    views,
    places: {
      spool: encryptedSpool(),
      openings: new Openings(),
      login: views.login,
      ended: new AbortController().signal,
    },
    items: new FetchItems(NAMES),
    waits: new Waits(systemTimers),
    write(each) {
      said.push(each);
      return null;
    },
    say: () => null,
    inBackground: () => undefined,
    fetchOf: () => null,
    uids: new Map(),
    observe: () => undefined,
  };
}

/**
 * Whole FETCH responses as FetchRelay passes them on, and what is learnt of their messages. null: one of them is not a FETCH
 * response, or is not simply passed on.
 */
export function longWay(octets: Buffer, views: RecordedViews): Buffer | null {
  const said: Buffer[] = [];
  let waited = false;
  const wait = (): null => {
    waited = true;
    return null;
  };
  const context: RelayContext = {
    ...recordingContext(views, said),
    ...{ say: wait, inBackground: wait, observe: wait },
  };
  const framer = new Framer('server', limits.imap.upstreamLineOctets);
  framer.push(octets);
  let relay: FetchRelay | null = null;
  for (let event = framer.next(); event !== null; event = framer.next()) {
    let wait: Promise<void> | null = null;
    if (event.type === 'literal') wait = relay?.literal(event.octets, event.remaining) ?? null;
    else if (!event.first) wait = relay?.line(event.octets, 0, event.literal) ?? null;
    else {
      const line = readServerLine(event.octets);
      if (line.kind !== 'fetch') return null;
      relay = new FetchRelay(context, line.msn);
      wait = relay.line(event.octets, line.at, event.literal);
    }
    waited ||= wait !== null;
    wait?.catch(() => undefined);
    if (waited) return null;
  }
  return framer.inside || framer.buffered > 0 ? null : Buffer.concat(said);
}

/**
 * The same of responses that are answered for, too: all that their client hears. null: one of them is not a FETCH response, or has to
 * be asked for.
 */
export async function answeredTheLongWay(octets: Buffer, views: RecordedViews): Promise<Buffer | null> {
  const said: Buffer[] = [];
  const context: RelayContext = {
    ...recordingContext(views, said),
    say(response) {
      if (Buffer.isBuffer(response)) {
        said.push(response);
        return null;
      }
      return (async () => {
        for await (const each of octetsOf(response)) said.push(Buffer.from(each));
        response.release();
      })();
    },
  };
  const framer = new Framer('server', limits.imap.upstreamLineOctets);
  framer.push(octets);
  let relay: FetchRelay | null = null;
  for (let event = framer.next(); event !== null; event = framer.next()) {
    if (event.type === 'literal') await relay?.literal(event.octets, event.remaining);
    else if (!event.first) await relay?.line(event.octets, 0, event.literal);
    else {
      const line = readServerLine(event.octets);
      if (line.kind !== 'fetch') return null;
      relay = new FetchRelay(context, line.msn);
      await relay.line(event.octets, line.at, event.literal);
    }
  }
  return framer.inside || framer.buffered > 0 ? null : Buffer.concat(said);
}
