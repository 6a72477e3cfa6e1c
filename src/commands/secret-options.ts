import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { SealgateError } from '../errors.ts';
import type { PinSource } from '../hsm/source-kinds.ts';

/**
 * Where commands take PINs and passwords from: a file, an environment variable, or the person. Never the command line itself, which
 * every user of the machine can read.
 */

/** A kind of secret by its option: `--pin-file`, SEALGATE_PIN. */
export type SecretName = 'pin' | 'so-pin' | 'puk' | 'new-pin' | 'password' | 'new-password' | 'file-password';

const DESCRIPTIONS: Readonly<Record<SecretName, string>> = {
  pin: 'file with the PIN in its only line',
  'so-pin': 'file with the PIN of the security officer',
  puk: 'file with the PUK, or the PIN of the security officer',
  'new-pin': 'file with the new PIN',
  password: 'file with the password of the key store',
  'new-password': 'file with the password for the new file or key store',
  'file-password': 'file with the password of the file that is read',
};

/** What people type who do not know better; refused before anything else is read. */
const ON_THE_COMMAND_LINE = [
  'pin',
  'so-pin',
  'puk',
  'new-pin',
  'password',
  'passphrase',
  'new-password',
  'file-password',
];

export type SecretOptions = {
  pinFile?: string;
  soPinFile?: string;
  pukFile?: string;
  newPinFile?: string;
  passwordFile?: string;
  newPasswordFile?: string;
  filePasswordFile?: string;
  pinentry?: string | true;
};

export function withSecrets(command: Command, ...names: readonly SecretName[]): Command {
  for (const name of names) {
    command.option(
      `--${name}-file <file>`,
      `${DESCRIPTIONS[name]}; without it ${variableOf(name)}, else it is asked for`,
    );
  }
  refuseSecrets(command);
  return command.option('--pinentry [program]', 'ask in a window (pinentry) rather than at the terminal');
}

/** Whatever a command does: what was typed after `--pin` is known to others now. */
export function refuseSecrets(command: Command): Command {
  for (const name of ON_THE_COMMAND_LINE) {
    if (command.options.some(({ long }) => long === `--${name}`)) continue;
    const refused = new Option(`--${name} [value]`).hideHelp();
    refused.argParser(() => {
      throw onTheCommandLine(name);
    });
    refused.preset('');
    command.addOption(refused);
  }
  return command;
}

/**
 * @param configured of the key source in the configuration; null: none
 * @throws SealgateError `command.pin-source`: nobody can be asked
 */
export function secretSource(
  name: SecretName,
  options: SecretOptions,
  configured: PinSource | null = null,
): PinSource {
  const file = fileOf(name, options);
  if (file !== undefined) return { file: resolve(file) };
  const variable = variableOf(name);
  if ((process.env[variable] ?? '') !== '') return { env: variable };
  const { pinentry } = options;
  if (pinentry !== undefined) return askInWindow(pinentry);
  if (configured !== null) return configured;
  // The standard streams may be redirected; the terminal is still there where one of them is one.
  if ([process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY)) return { ask: 'console' };
  if ((process.env.DISPLAY ?? process.env.WAYLAND_DISPLAY ?? '') !== '') return askInWindow(true);
  throw new SealgateError({
    code: 'command.pin-source',
    duration: 'permanent',
    publicText: `There is no terminal to ask at: name a file with --${name}-file, or set ${variable}.`,
  });
}

/** As `secretSource`, where a secret may be needless: null unless one was named. */
export function namedSecret(name: SecretName, options: SecretOptions): PinSource | null {
  const named = fileOf(name, options) !== undefined || (process.env[variableOf(name)] ?? '') !== '';
  return named ? secretSource(name, options) : null;
}

function askInWindow(program: string | true): PinSource {
  return { ask: 'pinentry', program: program === true ? null : resolve(program) };
}

export function variableOf(name: SecretName): string {
  return `SEALGATE_${name.replaceAll('-', '_').toUpperCase()}`;
}

function fileOf(name: SecretName, options: SecretOptions): string | undefined {
  switch (name) {
    case 'pin':
      return options.pinFile;
    case 'so-pin':
      return options.soPinFile;
    case 'puk':
      return options.pukFile;
    case 'new-pin':
      return options.newPinFile;
    case 'password':
      return options.passwordFile;
    case 'new-password':
      return options.newPasswordFile;
    case 'file-password':
      return options.filePasswordFile;
  }
}

function onTheCommandLine(name: string): SealgateError {
  return new SealgateError({
    code: 'command.secret-on-command-line',
    duration: 'permanent',
    publicText: `--${name} is refused: every user of this machine can read command lines, and the shell keeps them, so change what you have typed. Name a file instead with --${name === 'passphrase' ? 'password' : name}-file, or be asked for it. Nothing was done.`,
  });
}
