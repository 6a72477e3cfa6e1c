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

/**
 * So many questions at once, since each has a connection of its own and resolvers take few; others wait. Turns are taken by what the questions
 * are for, which their signal tells: a domain that leads to many keeps no other from its own.
 */
export function askingInTurn(ask: Ask): Ask {
  let free: number = limits.routing.questions;
  /** In the order of their turns. */
  const waiting = new Map<AbortSignal, (() => void)[]>();
  return async (question, signal) => {
    if (free > 0) free--;
    else {
      await new Promise<void>((resolve) => {
        const others = waiting.get(signal);
        if (others === undefined) waiting.set(signal, [resolve]);
        else others.push(resolve);
      });
    }
    try {
      return await ask(question, signal);
    } finally {
      const [next] = waiting;
      if (next === undefined) free++;
      else {
        const [of, [first, ...rest]] = next;
        waiting.delete(of);
        if (rest.length > 0) waiting.set(of, rest);
        first?.();
      }
    }
  };
}
