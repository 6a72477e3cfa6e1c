import { unreachable } from '../../errors.ts';
import type { PinPrompt, PinTries, PromptToken } from './pin-prompt.ts';

/** A prompt in words, short enough for a line of Assuan. Every part is one line without control characters, whatever a token says of itself. */
export type PromptText = {
  title: string;
  description: readonly string[];
  /** Beside the field: `PIN`, `Password`. */
  field: string;
  error: string | null;
  button: string;
};

export function promptText(prompt: PinPrompt): PromptText {
  const { description, ...words } = wordsFor(prompt);
  const about = 'token' in prompt ? tokenLines(prompt.token) : [];
  return {
    ...words,
    description: [...description, ...about],
    error: prompt.previousError === null ? null : shown(prompt.previousError, 200),
  };
}

type Words = Omit<PromptText, 'error'>;

function wordsFor(prompt: PinPrompt): Words {
  switch (prompt.purpose) {
    case 'log-in':
      return {
        title: `PIN of ${cardName(prompt.token)}`,
        description: ['Sealgate uses the card to sign and decrypt mail until it is taken out.'],
        field: 'PIN',
        button: 'Use card',
      };
    case 'use-key':
      return {
        title: `PIN of ${cardName(prompt.token)}`,
        description: [`The key ${shown(prompt.key, 48)} asks for the PIN for every single use. This is one.`],
        field: 'PIN',
        button: 'Use key once',
      };
    case 'change-pin':
      return {
        title: `Present PIN of ${cardName(prompt.token)}`,
        description: ['The PIN is going to be changed. Type the present one.'],
        field: 'Present PIN',
        button: 'Continue',
      };
    case 'unblock-pin':
      return {
        title: `PUK of ${cardName(prompt.token)}`,
        description: ['The PIN is going to be unblocked. Type the PUK (the PIN of the security officer).'],
        field: 'PUK',
        button: 'Continue',
      };
    case 'initialise':
      return {
        title: `Security officer's PIN of ${cardName(prompt.token)}`,
        description: ['The token is going to be initialised: everything on it will be gone.'],
        field: "Security officer's PIN",
        button: 'Continue',
      };
    case 'new-pin':
    case 'new-officer-pin': {
      const field = prompt.purpose === 'new-pin' ? 'New PIN' : "New security officer's PIN";
      return {
        title: `${field} of ${cardName(prompt.token)}`,
        description: [
          prompt.again ? 'Type it once more, the same as before.' : 'Choose it, and keep it well.',
        ],
        field,
        button: 'Set',
      };
    }
    case 'password': {
      const file = shown(prompt.file, 200);
      switch (prompt.action) {
        case 'open':
          return {
            title: 'Password',
            description: [`Password of ${file}`],
            field: 'Password',
            button: 'Open',
          };
        case 'set':
          return {
            title: 'New password',
            description: [`Choose the password of ${file}`],
            field: 'New password',
            button: 'Set',
          };
        case 'set-again':
          return {
            title: 'New password',
            description: [`Once more the password of ${file}, the same as before`],
            field: 'New password',
            button: 'Set',
          };
        default:
          return unreachable(prompt.action);
      }
    }
    default:
      return unreachable(prompt);
  }
}

function cardName({ label }: PromptToken): string {
  const name = shown(label, 48).trim();
  return name === '' ? 'the card' : `"${name}"`;
}

function tokenLines({ label, serial, reader, tries }: PromptToken): string[] {
  const lines = [
    `Card: ${shown(label, 48).trim() || 'without a name'}, number ${shown(serial, 24).trim() || 'unknown'}`,
  ];
  if (reader.trim() !== '') lines.push(`Reader: ${shown(reader, 48).trim()}`);
  const warning = triesWarning(tries);
  if (warning !== null) lines.push(warning);
  return lines;
}

function triesWarning(tries: PinTries): string | null {
  switch (tries) {
    case 'none-needed':
    case 'fine':
      return null;
    case 'count-low':
      return 'A wrong PIN was given before, and few tries are left.';
    case 'final-try':
      return 'LAST TRY: one more wrong PIN blocks the card.';
    case 'locked':
      return 'The PIN is blocked: it must be unblocked with the PUK first.';
    case 'to-be-changed':
      return 'The PIN must be changed before the card can be used.';
    default:
      return unreachable(tries);
  }
}

/** One line that no terminal and no window obeys. @param longest characters */
function shown(text: string, longest: number): string {
  const plain = [...text.toWellFormed()].map((one) =>
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/u.test(one) ? '?' : one,
  );
  return plain.length <= longest ? plain.join('') : `${plain.slice(0, longest - 1).join('')}…`;
}
