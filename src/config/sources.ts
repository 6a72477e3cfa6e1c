import * as z from 'zod';
import { Secret } from '../log/secret.ts';
import type { Files, FileUse } from './files.ts';

/** Settings that name something outside of the file: paths and secrets. */
export function sources(files: Files) {
  const path = (use: FileUse | null, description: string, example: string) =>
    z
      .string()
      .min(1)
      .transform((written, context) => {
        const absolute = files.resolve(written);
        const problem = use === null ? null : files.problemWith(absolute, use);
        if (problem !== null) context.addIssue({ code: 'custom', message: problem });
        return absolute;
      })
      .meta({ description, example, what: 'path' });

  const secret = (description: string, example: string) =>
    z
      .union(
        [
          z.strictObject({ file: z.string().min(1).describe('File that holds the secret in one line.') }),
          z.strictObject({ env: z.string().min(1).describe('Environment variable that holds it.') }),
        ],
        { error: secretSentence },
      )
      .transform((source, context) => {
        const found =
          'file' in source ? files.readSecret(files.resolve(source.file)) : fromEnvironment(source.env);
        if (found.kind === 'ok') return new Secret(found.value);
        context.addIssue({
          code: 'custom',
          message: found.text,
          path: ['file' in source ? 'file' : 'env'],
        });
        return z.NEVER;
      })
      .meta({ description, example: { file: example } });

  function fromEnvironment(name: string) {
    const value = files.environment(name);
    if (value !== undefined && value !== '') return { kind: 'ok' as const, value };
    return { kind: 'problem' as const, text: `the environment variable ${name} is not set` };
  }

  return { path, secret };
}

/** Never says what was written: it may be the secret. */
function secretSentence(issue: { input?: unknown }): string {
  if (issue.input === undefined) return 'this is missing: { file: path } or { env: NAME } is expected';
  if (typeof issue.input === 'object' && issue.input !== null) {
    return 'exactly one of { file: path } and { env: NAME } is expected';
  }
  return 'a secret is not written in this file: put it into a file of its own (mode 0600) and write { file: path }, or { env: NAME }';
}
