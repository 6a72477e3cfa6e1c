import { unreachable } from '../../errors.ts';
import type { PinSource } from '../source-kinds.ts';
import type { AskOptions, PinOutcome, PinPrompt } from './pin-prompt.ts';
import { askPinentry } from './pinentry.ts';
import { readSecret } from './secret.ts';
import { askOnTerminal } from './terminal.ts';

/**
 * One PIN or password, from where the configuration says. Used inside key processes and by the command line only: the
 * gateway's own process never calls this. Never rejects.
 *
 * The caller overwrites the PIN (`fill(0)`) when it was used.
 */
export async function readPin(
  source: PinSource,
  prompt: PinPrompt,
  options: AskOptions = {},
): Promise<PinOutcome> {
  if (!('ask' in source)) return readSecret(source);
  switch (source.ask) {
    case 'pinentry':
      return await askPinentry(source.program, prompt, options);
    case 'console':
      return await askOnTerminal(prompt, options);
    default:
      return unreachable(source);
  }
}
