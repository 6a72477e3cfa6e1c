import type { CrossProblem } from './cross-checks.ts';

/** Of the items of a list that have names, each has its own. */
export function names(
  place: string,
  items: readonly { name: string }[],
  path: readonly PropertyKey[] = [place],
): CrossProblem[] {
  const seen = new Map<string, number>();
  const problems: CrossProblem[] = [];
  for (const [i, { name }] of items.entries()) {
    const earlier = seen.get(name);
    if (earlier === undefined) seen.set(name, i);
    else {
      problems.push({
        path: [...path, i, 'name'],
        severity: 'error',
        text: `${place}[${earlier}] has this name already`,
      });
    }
  }
  return problems;
}
