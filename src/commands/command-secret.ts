import { timingSafeEqual } from 'node:crypto';
import { SealgateError, unreachable } from '../errors.ts';
import type { PinPrompt } from '../hsm/pin/pin-prompt.ts';
import { readPin } from '../hsm/pin/read-pin.ts';
import type { PinSource } from '../hsm/source-kinds.ts';
import { Secret } from '../log/secret.ts';

/** Passwords of files and key stores, which commands read themselves; PINs of tokens are read in key processes alone. */

const TYPING_MS = 10 * 60_000;
/** Shorter ones are found by trying all of them. Characters. */
const SHORTEST = 8;

/** @param file that the password is of; for the prompt */
export async function existingPassword(source: PinSource, file: string): Promise<Secret> {
  const read = await typed(source, { purpose: 'password', action: 'open', file, previousError: null });
  return asSecret(read);
}

/**
 * For a new file; asked for twice where it is typed.
 *
 * @throws SealgateError `command.password-differs`, `command.password-short`, `key.pin-needed`
 */
export async function newPassword(source: PinSource, file: string): Promise<Secret> {
  const prompt = { purpose: 'password', file, previousError: null } as const;
  const first = await typed(source, { ...prompt, action: 'set' });
  if ('ask' in source) {
    const second = await typed(source, { ...prompt, action: 'set-again' });
    const same = first.length === second.length && timingSafeEqual(first, second);
    second.fill(0);
    if (!same)
      throw unfit(
        'command.password-differs',
        'The two entries are not the same; nothing was written. Start again.',
      );
  }
  const secret = asSecret(first);
  if ([...secret.reveal()].length < SHORTEST) {
    throw unfit(
      'command.password-short',
      `The password has fewer than ${SHORTEST} characters, and who has the file could find it by trying; choose a longer one. Nothing was written.`,
    );
  }
  return secret;
}

async function typed(source: PinSource, prompt: PinPrompt): Promise<Buffer> {
  const outcome = await readPin(source, prompt, { timeoutMs: TYPING_MS });
  switch (outcome.kind) {
    case 'pin':
      return outcome.pin;
    case 'cancelled':
    case 'unanswered':
    case 'unavailable':
      throw unfit('key.pin-needed', outcome.publicText);
    default:
      return unreachable(outcome);
  }
}

function asSecret(octets: Buffer): Secret {
  const secret = new Secret(octets.toString('utf8'));
  octets.fill(0);
  return secret;
}

function unfit(code: string, publicText: string): SealgateError {
  return new SealgateError({ code, duration: 'permanent', publicText });
}
