import type { Config } from '../config/load.ts';

/** Logins that a key is given to: by its source, or by `source/label`. */
export function loginsWith({ principals }: Config, source: string, label: string): string[] {
  return principals.list
    .filter(({ keys }) => keys.some((key) => key === source || key === `${source}/${label}`))
    .map(({ login }) => login);
}
