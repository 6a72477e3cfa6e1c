import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import type { Sections } from './schema.ts';

/** What is wrong in the section `http`, and between it and the others. */
export function httpChecks({ http = [] }: Partial<Sections>): CrossProblem[] {
  return http.flatMap(({ tls, host, allowPlaintext, serves }, index) => {
    const problems: CrossProblem[] = [];
    const error = (key: string, text: string) =>
      problems.push({ path: ['http', index, key], severity: 'error', text });
    if (tls === 'none' && !allowPlaintext && !isLoopback(host)) {
      error(
        'tls',
        'without TLS what is asked and answered can be read and changed on the way: choose implicit, listen on 127.0.0.1 only, or say allowPlaintext: true',
      );
    }
    for (const [i, service] of serves.entries()) {
      if (serves.indexOf(service) < i) {
        problems.push({
          path: ['http', index, 'serves', i],
          severity: 'error',
          text: 'this is in the list already',
        });
      }
    }
    return problems;
  });
}
