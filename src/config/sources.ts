import * as z from 'zod';
import { Secret } from '../log/secret.ts';
import type { Files, FileUse } from './files.ts';
import { keyReference } from './values.ts';

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
      .union([inFile, inEnvironment], { error: secretSentence })
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

  /** A secret that is not read here: only whether it can be. */
  const secretSource = (description: string, example: string) =>
    z
      .union([inFile, inEnvironment], { error: secretSentence })
      .transform((source, context) => looked(source, context))
      .meta({ description, example: { file: example } });

  /** Where a PIN comes from; a person may be asked. */
  const pinSource = (description: string, example: object) =>
    z
      .union([inFile, inEnvironment, fromPinentry, fromConsole], { error: pinSentence })
      .transform((source, context) => {
        if (!('ask' in source)) return looked(source, context);
        if (source.ask === 'console') return source;
        const { ask, program } = source;
        if (program === undefined) return { ask, program: null };
        const absolute = files.resolve(program);
        const problem = files.problemWith(absolute, 'program');
        if (problem !== null) context.addIssue({ code: 'custom', message: problem, path: ['program'] });
        return { ask, program: absolute };
      })
      .meta({
        description,
        example,
        what: 'secret, or who asks for it: `{ ask: pinentry }`, `{ ask: pinentry, program: /usr/bin/pinentry-gnome3 }`, `{ ask: console }`',
      });

  /** What opens a key store: a secret, or a key that another entry of `keys` has. */
  const unlock = (description: string, example: string) =>
    z
      .union([inFile, inEnvironment, byKey], { error: unlockSentence })
      .transform((source, context) => ('key' in source ? source : looked(source, context)))
      .meta({ description, example: { file: example }, what: 'secret, or `{ key: NAME/LABEL }`' });

  function looked(
    source: { file: string } | { env: string },
    context: Pick<z.core.$RefinementCtx, 'addIssue'>,
  ) {
    if ('env' in source) {
      const value = files.environment(source.env);
      if (value === undefined || value === '') {
        context.addIssue({ code: 'custom', message: notSet(source.env), path: ['env'] });
      }
      return source;
    }
    const file = files.resolve(source.file);
    const problem = files.problemWithSecret(file);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem, path: ['file'] });
    return { file };
  }

  function fromEnvironment(name: string) {
    const value = files.environment(name);
    if (value !== undefined && value !== '') return { kind: 'ok' as const, value };
    return { kind: 'problem' as const, text: notSet(name) };
  }

  return { path, secret, secretSource, pinSource, unlock };
}

const inFile = z.strictObject({
  file: z.string().min(1).describe('File that holds the secret in one line.'),
});
const inEnvironment = z.strictObject({
  env: z.string().min(1).describe('Environment variable that holds it.'),
});
const fromPinentry = z.strictObject({
  ask: z.literal('pinentry').describe('A window asks, or where there is none, the terminal.'),
  program: z.string().min(1).optional().describe('Absolute path; default: the first pinentry on PATH.'),
});
const fromConsole = z.strictObject({
  ask: z.literal('console').describe('The terminal that the gateway was started from asks.'),
});
const byKey = z.strictObject({
  key: keyReference.describe('Name of an entry of keys, or name/label.'),
});

function notSet(name: string): string {
  return `the environment variable ${name} is not set`;
}

/** Sentences that never say what was written: it may be the secret. */
const sentenceFor = (forms: string) => (issue: { input?: unknown }) => {
  if (issue.input === undefined) return `this is missing: ${forms} is expected`;
  if (typeof issue.input === 'object' && issue.input !== null) return `exactly one of ${forms} is expected`;
  return `a secret is not written in this file: put it into a file of its own (mode 0600) and write one of ${forms}`;
};
const secretSentence = sentenceFor('{ file: path } or { env: NAME }');
const pinSentence = sentenceFor('{ file: path }, { env: NAME }, { ask: pinentry } or { ask: console }');
const unlockSentence = sentenceFor('{ file: path }, { env: NAME } or { key: NAME/LABEL }');
