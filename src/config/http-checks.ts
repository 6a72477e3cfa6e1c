import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import type { Sections } from './schema.ts';

/** What is wrong in the section `http`, and between it and the others. */
export function httpChecks(config: Partial<Sections>): CrossProblem[] {
  return [...listenerChecks(config), ...linkChecks(config)];
}

function listenerChecks({ http = [], holding, queue }: Partial<Sections>): CrossProblem[] {
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
    const pages = serves.indexOf('held-mail');
    if (pages >= 0 && queue === null) {
      const text = 'mail waits only where the section queue says how it leaves: there is none';
      problems.push({ path: ['http', index, 'serves', pages], severity: 'error', text });
    }
    if (pages >= 0 && holding?.url === null) {
      const text = 'the mails that lead to these pages need their address: say holding.url';
      problems.push({ path: ['http', index, 'serves', pages], severity: 'error', text });
    }
    return problems;
  });
}

function linkChecks({ http, holding }: Partial<Sections>): CrossProblem[] {
  if (http === undefined || holding === undefined || holding.url === null) return [];
  if (http.some(({ serves }) => serves.includes('held-mail'))) return [];
  const text = 'questions will have links to pages that no listener of the section http serves (held-mail)';
  return [{ path: ['holding', 'url'], severity: 'warning', text }];
}
