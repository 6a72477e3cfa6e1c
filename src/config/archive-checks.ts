import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import { names } from './name-checks.ts';
import type { Sections } from './schema.ts';

/** What is wrong in the section `archives`. */
export function archiveChecks({ archives = [], queue, policy }: Partial<Sections>): CrossProblem[] {
  const problems: CrossProblem[] = names('archives', archives);
  if (archives.length > 0 && queue === null) {
    const text = 'this needs the section queue: a copy waits there while its server is away';
    problems.push({ path: ['archives'], severity: 'error', text });
  }
  for (const [i, { name, host, tls, allowPlaintext, ca, serverName }] of archives.entries()) {
    const error = (key: string, text: string) =>
      problems.push({ path: ['archives', i, key], severity: 'error', text });
    if (tls === 'none' && !allowPlaintext && !isLoopback(host)) {
      error(
        'tls',
        'without TLS the password and the mail can be read on the way: say starttls or implicit, or allowPlaintext: true',
      );
    }
    if (policy !== undefined && !policy.rules.some(({ appendTo }) => appendTo === name)) {
      const text = 'no rule says appendTo for this archive, so nothing goes there';
      problems.push({ path: ['archives', i, 'name'], severity: 'warning', text });
    }
    for (const [key, value] of Object.entries({ ca, serverName })) {
      if (tls === 'none' && value !== null) error(key, 'this says something only with TLS');
    }
  }
  return problems;
}

type Rule = Sections['policy']['rules'][number];

/** What a rule asks of an archive, and is not there. */
export function archiveOf(
  { appendTo, requireTls }: Rule,
  path: readonly PropertyKey[],
  { archives }: Partial<Sections>,
): CrossProblem[] {
  if (appendTo === null || archives === undefined) return [];
  const archive = archives.find(({ name }) => name === appendTo);
  const error = (text: string): CrossProblem[] => [{ path: [...path, 'appendTo'], severity: 'error', text }];
  if (archive === undefined) {
    const known =
      archives.length === 0 ? 'there are none' : `there are ${archives.map(({ name }) => name).join(', ')}`;
    return error(`there is no archive of this name (archives): ${known}`);
  }
  if (requireTls !== 'no' && archive.tls === 'none') {
    return error(
      `the rule says requireTls: ${requireTls}, and the archive ${appendTo} is called without TLS`,
    );
  }
  return [];
}
