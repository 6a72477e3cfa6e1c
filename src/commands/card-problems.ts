import type { TokenOnSlot } from '../hsm/management-messages.ts';
import { usesReaders } from './known-modules.ts';
import { isReaderServiceThere } from './pcsc-service.ts';
import { tokenName } from './token-text.ts';

/**
 * Something that is wrong with a card or a key: one sentence with the next step. `code` is for programs and never changes. A `hint`
 * keeps nothing from working yet.
 */
export type CardProblem = { severity: 'fault' | 'hint'; code: string; text: string };

export function problem(code: string, text: string): CardProblem {
  return { severity: 'fault', code, text };
}

export function hint(code: string, text: string): CardProblem {
  return { severity: 'hint', code, text };
}

/** @param module path of the library */
export async function serviceProblems(module: string): Promise<CardProblem[]> {
  if (!usesReaders(module) || (await isReaderServiceThere())) return [];
  return [
    problem(
      'service-missing',
      'The service for card readers does not run: start it with “systemctl enable --now pcscd.socket” as root; if there is none, install it (“apt-get install pcscd” on Debian and Ubuntu, “dnf install pcsc-lite” on Fedora and Red Hat).',
    ),
  ];
}

export function pinProblems(token: TokenOnSlot): CardProblem[] {
  const name = tokenName(token);
  switch (token.pin) {
    case 'locked':
      return [
        problem(
          'pin-locked',
          `The PIN of ${name} is blocked: set a new one with “sealgate card pin unblock” and the PUK that came with the card.`,
        ),
      ];
    case 'final-try':
      return [
        problem(
          'pin-final-try',
          `The PIN of ${name} has one try left: when you are sure of it, use it with --use-last-try (“sealgate card pin change”, with the old PIN as the new one, is enough); else unblock it with the PUK.`,
        ),
      ];
    case 'not-set':
      return [
        problem(
          'pin-not-set',
          `${name} has no PIN yet: set one with “sealgate card pin unblock” and the security officer’s PIN.`,
        ),
      ];
    case 'to-be-changed':
      return [
        problem(
          'pin-to-be-changed',
          `The PIN of ${name} must be changed before it is used: “sealgate card pin change” does that.`,
        ),
      ];
    case 'count-low':
    case 'fine':
    case 'none-needed':
      return [];
  }
}
