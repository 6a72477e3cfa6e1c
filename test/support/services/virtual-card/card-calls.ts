import type { CardKeyType } from './card-key.ts';
import type { KeyReference } from './data-objects.ts';
import type { Held } from './held-card.ts';
import type { CardCounters, PivCardOptions } from './piv-card.ts';

/**
 * What the test says to the thread in which the cards are. They have a thread of their own because a test may block its
 * own: with a PKCS#11 call that waits for the card, or with a program it waits for.
 */
export type CardCalls = {
  /** @param ports of the slots, on which the driver listens */
  slots(ports: readonly number[]): void;
  newCard(request: NewCard): NewCardAnswer;
  /** Certificates (DER) in place of those that were there. */
  setCertificates(request: { card: number; certificates: Map<KeyReference, Uint8Array> }): void;
  /** @returns when the reader gave it power */
  insert(request: { slot: number; card: number }): void;
  /** @returns when the reader noticed */
  remove(slot: number): void;
  counters(card: number): CardCounters;
  hold(request: { card: number; what: Held }): void;
  /** @returns when a command waits */
  reached(card: number): void;
  release(card: number): void;
  /** The end of everything; the readers may be gone already. */
  close(unused: null): void;
};

export type NewCard = PivCardOptions & {
  guid: Uint8Array;
  keys: ReadonlyMap<KeyReference, CardKeyType>;
  compressed: boolean;
};

export type NewCardAnswer = {
  card: number;
  /** PEM, SubjectPublicKeyInfo. */
  publicKeys: Map<KeyReference, string>;
};

export type CardCall = {
  [Name in keyof CardCalls]: { name: Name; argument: Parameters<CardCalls[Name]>[0] };
}[keyof CardCalls];
export type CardCallMessage = CardCall & { id: number };
export type CardAnswer = { id: number; value: unknown } | { id: number; error: string };
