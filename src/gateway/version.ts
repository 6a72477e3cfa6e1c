import { readFileSync } from 'node:fs';

/** Of this program, as its package says it. */
export function version(): string {
  const { version: found } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return found;
}
