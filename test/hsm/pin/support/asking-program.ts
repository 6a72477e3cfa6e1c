import { writeFileSync } from 'node:fs';
import type { PinPrompt } from '../../../../src/hsm/pin/pin-prompt.ts';
import { readPin } from '../../../../src/hsm/pin/read-pin.ts';
import type { PinSource } from '../../../../src/hsm/source-kinds.ts';

/** Asks as a key process does: source, prompt and options in, outcome out to a file. Run on a terminal of its own by terminal.ts. */
export type Asking = { source: PinSource; prompt: PinPrompt; timeoutMs: number; outcomeFile: string };

const { source, prompt, timeoutMs, outcomeFile }: Asking = JSON.parse(process.argv[2] ?? '');
const outcome = await readPin(source, prompt, { timeoutMs });
const written = outcome.kind === 'pin' ? { ...outcome, pin: outcome.pin.toString('utf8') } : outcome;
writeFileSync(outcomeFile, JSON.stringify(written), { mode: 0o600 });
