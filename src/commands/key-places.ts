import { SealgateError } from '../errors.ts';
import { KeyClient } from '../hsm/client/key-client.ts';
import type { KeyPlace } from '../hsm/key-state.ts';
import type { SoftwareSource, TokenSource } from '../hsm/source-kinds.ts';
import { silentLog } from '../log/log.ts';

/** Key processes for one command. */

/**
 * Started and ready to be asked; how it stands is its state.
 *
 * @param source its name, for sentences
 */
export async function openPlace(source: string, place: TokenSource | SoftwareSource): Promise<KeyPlace> {
  const refused = new Set<string>();
  const client = KeyClient.start({
    ...{ source, place, log: silentLog },
    // As long as the command runs: a person has started it, and it sends a PIN once.
    refusals: { has: (identity) => refused.has(identity), add: (identity) => void refused.add(identity) },
  });
  await client.settled;
  return client;
}

/** The same place, in which nobody logs in: for looking without sending a PIN that might be wrong. */
export function withoutLogin(place: TokenSource | SoftwareSource): TokenSource | SoftwareSource {
  return place.kind === 'token' ? { ...place, pin: { ask: 'console' } } : place;
}

/** What keeps a place from serving, for people; null: nothing. */
export function placeProblem({ state }: KeyPlace): SealgateError | null {
  switch (state.kind) {
    case 'open':
    case 'locked':
      return null;
    case 'absent':
    case 'refused': {
      const { code, publicText, duration, reason } = state.failure;
      return new SealgateError({ code, publicText, duration, reason });
    }
    case 'starting':
    case 'closed':
      return new SealgateError({
        code: 'key.unavailable',
        publicText: 'The place of the keys is not open.',
        duration: 'temporary',
      });
  }
}
