import type { DnsAnswer, DnsQuestion } from '../dns/message.ts';
import { limits } from '../limits.ts';

/** Asks a resolver whose word on DNSSEC is believed. @throws SealgateError (temporary) `dns.*` */
export type Ask = (question: DnsQuestion, signal: AbortSignal) => Promise<DnsAnswer>;

export const TYPE_A = 1;
export const TYPE_CNAME = 5;
export const TYPE_MX = 15;
export const TYPE_TXT = 16;
export const TYPE_AAAA = 28;
/** RFC 6698 §7.1. */
export const TYPE_TLSA = 52;

/** So many questions at once, since each has a connection of its own and resolvers take few; others wait for their turn. */
export function askingInTurn(ask: Ask): Ask {
  let free: number = limits.routing.questions;
  const waiting: (() => void)[] = [];
  return async (question, signal) => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await ask(question, signal);
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
