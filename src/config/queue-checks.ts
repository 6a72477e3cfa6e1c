import type { CrossProblem } from './cross-checks.ts';
import { sourceOf, unknownKey } from './key-checks.ts';
import { deliveryServerChecks, ownDomainsChecks, routingChecks } from './routing-checks.ts';
import type { Sections } from './schema.ts';

/** What is wrong between the section `queue` and the others. */

type Queue = NonNullable<Sections['queue']>;

export function queueChecks(config: Partial<Sections>): CrossProblem[] {
  const { queue } = config;
  if (queue === undefined) return [];
  if (queue === null) return deliveryWithout(config);
  const former = queue.formerKeys.map((reference, i) => ({
    reference,
    path: ['queue', 'formerKeys', i],
  }));
  return [
    ...[{ reference: queue.key, path: ['queue', 'key'] }, ...former].flatMap((own) => ownKey(own, config)),
    ...(queue.server === null ? [] : deliveryServerChecks(queue.server, ['queue', 'server'])),
    ...routingChecks(queue),
    ...ownDomainsChecks(queue, config.relay ?? []),
    ...addressChecks(queue, config),
  ];
}

/** Listeners that want a queue where there is none. */
function deliveryWithout({ submission, relay }: Partial<Sections>): CrossProblem[] {
  return Object.entries({ submission, relay }).flatMap(([section, listeners]) =>
    (listeners ?? []).flatMap(({ delivery }, i): CrossProblem[] => {
      if (delivery === 'live') return [];
      const text = 'delivery: queue needs the section queue';
      return [{ path: [section, i, 'delivery'], severity: 'error', text }];
    }),
  );
}

/** Every reference that the section makes to an entry of `keys`; null: not known, because it has faults of its own. */
export function queueReferences({ queue, keys = [] }: Partial<Sections>): readonly string[] | null {
  if (queue === undefined) return null;
  const references = queue === null ? [] : [queue.key, ...queue.formerKeys];
  const isKnown = (reference: string) => keys.some(({ name }) => name === sourceOf(reference));
  return references.every(isKnown) ? references : null;
}

/** A login that had it could open what waits, other people's mail among it. */
function ownKey(
  { reference, path }: { reference: string; path: CrossProblem['path'] },
  { keys, principals }: Partial<Sections>,
): CrossProblem[] {
  const name = sourceOf(reference);
  const problems = unknownKey(reference, keys, path);
  const error = (text: string) => problems.push({ path, severity: 'error', text });
  const source = keys?.find((key) => key.name === name);
  if (source?.use === 'sign') {
    error(`the key ${name} says use: sign, so it cannot open what is encrypted to it`);
  }
  const holder = principals?.list.find((principal) => principal.keys.some((own) => sourceOf(own) === name));
  if (holder !== undefined) {
    error(
      `the login ${holder.login} has keys of ${name}: the gateway's own key is in an entry that no login has`,
    );
  }
  const asks = source?.places.some((place) => place.kind === 'token' && 'ask' in place.pin) === true;
  if (asks) {
    const text = `while nobody has typed the PIN of ${name}, nothing that waits can leave`;
    problems.push({ path, severity: 'warning', text });
  }
  return problems;
}

function addressChecks({ address }: Queue, { principals }: Partial<Sections>): CrossProblem[] {
  const own = address.toLowerCase();
  const at = own.lastIndexOf('@');
  // Answers to questions come there (holding/answer-address.ts): the gateway takes all of it.
  const isAnswers = (other: string) =>
    other.startsWith(`${own.slice(0, at)}+`) && other.slice(other.lastIndexOf('@')) === own.slice(at);
  for (const { login, addresses } of principals?.list ?? []) {
    for (const other of addresses.map((each) => each.toLowerCase())) {
      if (other !== own && !isAnswers(other)) continue;
      const what = other === own ? 'this address' : `the address ${other}, which is among those of answers`;
      const text = `the login ${login} has ${what}: the gateway needs one of its own`;
      return [{ path: ['queue', 'address'], severity: 'error', text }];
    }
  }
  return [];
}
