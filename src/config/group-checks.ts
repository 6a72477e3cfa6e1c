import type { CrossProblem } from './cross-checks.ts';
import type { Sections } from './schema.ts';

/** Groups of which nobody could say who is in them. */
export function groupChecks({ policy, directory }: Partial<Sections>): CrossProblem[] {
  if (directory === undefined) return [];
  const names = directory.groupSources.map(({ name }) => name);
  return (policy?.groups ?? []).flatMap(({ ldap }, i): CrossProblem[] =>
    ldap === null || names.includes(ldap.source)
      ? []
      : [
          {
            path: ['policy', 'groups', i, 'ldap', 'source'],
            severity: 'error',
            text: `there is no source of this name (directory.groupSources): ${names.length === 0 ? 'there are none' : `there are ${names.join(', ')}`}`,
          },
        ],
  );
}
