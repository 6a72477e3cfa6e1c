import type { Command } from 'commander';
import { addKeysCreateStore } from './keys-create-store.ts';
import { addKeysGenerate } from './keys-generate.ts';

/** `sealgate keys …`: private keys and their certificates, in key stores, files and tokens. One file a command. */
export function addKeysCommands(program: Command): void {
  const keys = program.command('keys').description('private keys and their certificates');
  addKeysGenerate(keys);
  addKeysCreateStore(keys);
}
