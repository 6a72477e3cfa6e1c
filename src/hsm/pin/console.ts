import type { AskOptions, PinOutcome, PinPrompt } from './pin-prompt.ts';

/** On the terminal that this process was started from (/dev/tty), without echo. Never rejects. */
export async function askOnConsole(prompt: PinPrompt, options: AskOptions = {}): Promise<PinOutcome> {
  options.signal?.throwIfAborted();
  const publicText = `The terminal is not asked yet (${prompt.purpose}).`;
  return { kind: 'unavailable', duration: 'temporary', publicText };
}
