import type { RelayContext } from './fetch-relay.ts';
import type { Framer } from './framer.ts';
import { PassedMessage } from './passed-message.ts';
import type { Pending } from './pending.ts';
import { plainReply } from './plain-reply.ts';
import { PlainResponses } from './plain-responses.ts';
import { ShellResponses } from './shell-responses.ts';

/** What has arrived and was not looked at (Framer, Wire). */
export type Arrived = Pick<Framer, 'ahead' | 'joinAhead' | 'skip' | 'enterLiteral'>;

export type Found =
  /** Whole responses for the client; `done`: the command whose answer the last of them is. */
  | { kind: 'whole'; octets: Buffer; done: { pending: Pending; line: Buffer } | null }
  /** The beginning of one for the client, up to somewhere in its literal. */
  | { kind: 'begun'; octets: Buffer; rest: PassedMessage }
  /** The next response is for FetchRelay, or no FETCH response. */
  | { kind: 'other' }
  /** The next response may go a short way, and has to be waited for. */
  | { kind: 'coming' };

const OTHER: Found = { kind: 'other' };
const COMING: Found = { kind: 'coming' };

/**
 * The short ways of FETCH responses from a mail server to its client: many that go on as they are at a time, one of a listing that is
 * answered from its own octets, one whose message goes on as it comes. Whatever is found here is taken from what has arrived, and
 * FetchRelay would have said it octet for octet.
 */
export class ShortWays {
  readonly #context: RelayContext;
  readonly #plain: PlainResponses;
  readonly #shell: ShellResponses;

  constructor(context: RelayContext) {
    this.#context = context;
    this.#plain = new PlainResponses(context.items, context.views);
    this.#shell = new ShellResponses(context.items, context.views);
  }

  /** Takes what comes next. `commands`: those without an answer, by tag. */
  next(arrived: Arrived, commands: ReadonlyMap<string, Pending>): Found {
    for (;;) {
      const ahead = arrived.ahead();
      if (ahead === null) return OTHER;
      const length = this.#plain.length(ahead);
      const reply = plainReply(ahead, length, commands);
      if (reply !== null) {
        const done = { pending: reply.pending, line: ahead.subarray(length, reply.end) };
        return taken(arrived, ahead, reply.end, done);
      }
      if (length > 0) return taken(arrived, ahead, length);
      const rest = this.#plain.rest(ahead);
      if (rest !== 'whole') {
        if (!arrived.joinAhead()) return rest === 'short' ? COMING : OTHER;
        continue;
      }
      const begun = this.#begun(arrived, ahead);
      if (begun !== 'header') return begun ?? this.#ofShell(arrived, ahead);
      // Nothing behind the header is copied for its sake.
      if (!arrived.joinAhead(0)) return COMING;
    }
  }

  #begun(arrived: Arrived, ahead: Buffer): Found | 'header' | null {
    const begun = this.#plain.begun(ahead);
    if (begun === null || begun === 'header') return begun;
    const literalEnd = begun.line + begun.size;
    const length = Math.min(ahead.length, literalEnd);
    arrived.enterLiteral(length, literalEnd - length);
    const rest = new PassedMessage(this.#context, begun, ahead);
    return { kind: 'begun', octets: ahead.subarray(0, length), rest };
  }

  #ofShell(arrived: Arrived, ahead: Buffer): Found {
    const shell = this.#shell.first(ahead);
    if (shell === null) return OTHER;
    arrived.skip(shell.length);
    return { kind: 'whole', octets: shell.said, done: null };
  }
}

function taken(
  arrived: Arrived,
  ahead: Buffer,
  length: number,
  done: Extract<Found, { kind: 'whole' }>['done'] = null,
): Found {
  arrived.skip(length);
  return { kind: 'whole', octets: ahead.subarray(0, length), done };
}
