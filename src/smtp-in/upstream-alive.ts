import { limits } from '../limits.ts';
import type { Conversation } from './conversation.ts';

/**
 * Keeps the upstream's transaction while a client takes long to send a message: a mail server ends a connection on which it hears nothing
 * for some minutes (RFC 5321 §4.5.3.2), and the message would have come for nothing, each time anew. NOOP changes nothing there
 * (§4.1.1.9). What it answers is not looked at; that it was lost shows soon enough.
 */
export class UpstreamAlive {
  readonly #conversation: Conversation;
  #heard: number;

  constructor(conversation: Conversation) {
    this.#conversation = conversation;
    this.#heard = conversation.ports.reception.now();
  }

  /** To be called as octets of the message come. */
  octetsCame(): void {
    const { upstream, ports } = this.#conversation;
    const now = ports.reception.now();
    if (now - this.#heard < limits.smtp.upstreamQuietMs || upstream === null || upstream.lost !== null)
      return;
    this.#heard = now;
    void upstream.command('NOOP');
  }
}
