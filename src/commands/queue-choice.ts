import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import type { Chosen } from '../queue/by-hand.ts';

/** Which deliveries a command of `sealgate queue` is about. */
export type Choosing = { destination?: string; from?: string; state?: string; all?: true };

const STATES = ['waiting', 'delayed', 'under-way', 'held'] as const;

export function filters(command: Command): Command {
  return command
    .option('--destination <name>', 'only those for this destination')
    .option('--from <address>', 'only those of this sender; “” for mail without one')
    .option('--state <state>', `only those that are ${STATES.join(', ')}`);
}

/** The same, for what changes something: it wants ids, a filter or `--all`. */
export function choosing(command: Command): Command {
  return filters(command).argument('[ids...]', 'of deliveries or of mails').option('--all', 'everything');
}

/**
 * @param wanted `something`: nothing chosen is no choice
 * @throws SealgateError `command.arguments`
 */
export function chosenBy(
  ids: readonly string[],
  { destination, from, state, all }: Choosing,
  wanted: 'something' | 'anything' = 'anything',
): Chosen {
  const known = STATES.find((one) => one === state);
  if (state !== undefined && known === undefined) {
    throw unusable(`--state wants one of ${STATES.join(', ')}.`);
  }
  const chosen: Chosen = {
    ...(ids.length === 0 ? {} : { ids }),
    ...(destination === undefined ? {} : { destination }),
    // As lists show it, too.
    ...(from === undefined ? {} : { sender: from.replace(/^<(.*)>$/, '$1') }),
    ...(known === undefined ? {} : { state: known }),
  };
  const isNarrow = Object.keys(chosen).length > 0;
  if (wanted === 'something' && isNarrow === (all === true)) {
    throw unusable('Say either which deliveries (ids, --destination, --from, --state), or --all.');
  }
  return chosen;
}

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.arguments', duration: 'permanent', publicText });
}
