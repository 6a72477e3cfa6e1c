import { SealgateError } from '../errors.ts';
import type { Replies } from './replies.ts';
import type { BodyPiece, StatusLine } from './reply-scanner.ts';

/** How many lines the answer to a command has when it is `+OK`. */
export type ReplyForm = 'line' | 'lines';

/** A command on its way to the mail server. Its answer is read by one reader, to its end, before that of the next one. */
export interface Question {
  /** Throws SealgateError `upstream.lost`, `pop3.framing`. */
  status(): Promise<StatusLine>;
  /** The next piece of the lines behind the status, as it came. Throws like `status`. */
  body(): Promise<BodyPiece>;
}

/**
 * The mail server after login: commands go up, each has one answer, in their order.
 *
 * Must never happen: something the server says that nobody asked for is taken for an answer.
 */
export class UpstreamSide {
  readonly replies: Replies;
  readonly #pipelining: boolean;
  /** Commands that were sent and are not answered whole. */
  #outstanding = 0;
  #quit = false;

  /** `pipelining` (RFC 2449 §6.6): several commands may be on their way. */
  constructor(replies: Replies, pipelining: boolean) {
    this.replies = replies;
    this.#pipelining = pipelining;
  }

  /** QUIT is on its way: the server will remove what is marked. */
  get quitSent(): boolean {
    return this.#quit;
  }

  /** Sends a command: at once, or, where the server wants them one by one, when its answer is read. */
  ask(line: string, form: ReplyForm): Question {
    let sent = false;
    const send = (): void => {
      if (sent) return;
      sent = true;
      if (this.#outstanding === 0 && this.replies.buffered > 0) throw unasked();
      this.#outstanding++;
      if (line === 'QUIT\r\n') this.#quit = true;
      this.replies.leg.write(line);
    };
    if (this.#pipelining) send();
    return {
      status: async () => {
        send();
        const status = await this.replies.status();
        if (status === null) throw lost(this.replies.leg.cause);
        if (status.kind === 'challenge') throw unasked();
        if (form === 'line' || status.kind === 'error') this.#outstanding--;
        return status;
      },
      body: async () => {
        const piece = await this.replies.body();
        if (piece === null) throw lost(this.replies.leg.cause);
        if (piece === 'end') this.#outstanding--;
        return piece;
      },
    };
  }
}

/** Reads the rest of an answer for nobody. */
export async function drain(question: Question): Promise<void> {
  for (let piece = await question.body(); piece !== 'end'; ) piece = await question.body();
}

export function unasked(): SealgateError {
  return new SealgateError({
    code: 'upstream.unasked',
    publicText: 'The mail server was not understood. Connect again.',
    duration: 'temporary',
    reason: 'it said something that nobody asked for',
  });
}

function lost(reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.lost',
    publicText: 'The mail server closed the connection. Connect again.',
    duration: 'temporary',
    reason,
  });
}
