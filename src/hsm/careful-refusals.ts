import type { Log } from '../log/log.ts';
import type { Refusals } from './key-state.ts';

/**
 * Refusals that may be away: a PIN of which nobody can say whether it was refused before is not sent, and what is refused now
 * stays known in this process whatever becomes of the note.
 */
export function carefulRefusals(kept: Refusals | null, source: string, log: Log): Refusals {
  const known = new Set<string>();
  const told = (error: unknown): void =>
    log.write({ event: 'key.refusal-not-noted', level: 'error', source, reason: String(error) });
  return {
    async has(identity) {
      if (known.has(identity)) return true;
      try {
        return (await kept?.has(identity)) ?? false;
      } catch (error) {
        told(error);
        return true;
      }
    },
    async add(identity) {
      known.add(identity);
      try {
        await kept?.add(identity);
      } catch (error) {
        told(error);
      }
    },
  };
}
