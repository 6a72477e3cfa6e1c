import { isIP } from 'node:net';
import { type ClientAttributes, writeClientAttributes } from '../smtp/client-attributes.ts';
import { reply } from '../smtp/reply.ts';
import type { Conversation, Step } from './conversation.ts';

/** To anybody else these are words that mean nothing. */
const UNKNOWN: Step = { kind: 'reply', reply: reply(500, '5.5.1', 'The command is not known') };

/**
 * XCLIENT, as Postfix has it: a trusted peer says whose connection it is, and the session begins anew with another greeting. What it says
 * of a login is not believed. A peer stays trusted: it may say so again, for its next client.
 */
export function xclient(conversation: Conversation, attributes: ClientAttributes): Step {
  const { admission, settings } = conversation.ports;
  if (admission?.trustsPeer !== true) return UNKNOWN;
  if (conversation.transaction !== null) {
    return { kind: 'reply', reply: reply(503, '5.5.1', 'XCLIENT must not come within a mail transaction') };
  }
  if (attributes.has('ADDR')) admission.clientIs(addressOf(attributes.get('ADDR') ?? null));
  // Whose connection the upstream was told is another one's now.
  conversation.upstream?.quit();
  conversation.upstream = null;
  conversation.upstreamOpen = false;
  conversation.origin = null;
  conversation.greeted = 'no';
  forgetForwarded(conversation);
  conversation.helo = attributes.get('HELO') ?? '';
  const protocol = admission.protocol === 'lmtp' ? 'LMTP' : 'ESMTP';
  return { kind: 'reply', reply: reply(220, null, `${settings.hostname} ${protocol} Sealgate`) };
}

/** XFORWARD: whose mail a trusted peer passes on, for the logs of the mail server behind. Nobody is admitted by it. */
export function xforward(conversation: Conversation, attributes: ClientAttributes): Step {
  if (conversation.ports.admission?.trustsPeer !== true) return UNKNOWN;
  if (conversation.transaction !== null) {
    return { kind: 'reply', reply: reply(503, '5.5.1', 'XFORWARD must not come within a mail transaction') };
  }
  const before = conversation.forwardedWithMail ? [] : conversation.forwarded;
  conversation.forwarded = new Map([...before, ...attributes]);
  conversation.forwardedWithMail = false;
  return { kind: 'reply', reply: reply(250, '2.0.0', 'Noted') };
}

/** What was said of the mail of an earlier client, or by nobody knows whom. */
export function forgetForwarded(conversation: Conversation): void {
  conversation.forwarded = new Map();
  conversation.forwardedWithMail = false;
}

/** MAIL: what a trusted peer has said is about this mail, and about no other. */
export function forwardMail(conversation: Conversation): void {
  if (conversation.forwardedWithMail) conversation.forwarded = new Map();
  conversation.forwardedWithMail = true;
  forwardOn(conversation);
}

/** Tells the upstream before each of its transactions for that mail, where it wants to know. Its replies change nothing. */
export function forwardOn(conversation: Conversation): void {
  const { upstream, forwarded } = conversation;
  const wanted = upstream?.extensions.get('XFORWARD');
  if (upstream === null || wanted === undefined) return;
  const names = new Set(wanted.map((name) => name.toUpperCase()));
  for (const attribute of forwarded) {
    if (names.has(attribute[0]))
      void upstream.command(`XFORWARD${writeClientAttributes(new Map([attribute]))}`);
  }
}

/** `ADDR` is an IPv4 address, or `IPV6:` and one of the other kind. null: neither. */
function addressOf(written: string | null): string | null {
  const address = written?.replace(/^IPV6:/i, '') ?? '';
  return isIP(address) === 0 || address.includes('%') ? null : address;
}
