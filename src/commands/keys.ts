import type { Command } from 'commander';
import { addKeysCreateStore } from './keys-create-store.ts';
import { addKeysDelete } from './keys-delete.ts';
import { addKeysExport } from './keys-export.ts';
import { addKeysGenerate } from './keys-generate.ts';
import { addKeysImport } from './keys-import.ts';
import { addKeysList } from './keys-list.ts';
import { addKeysTest } from './keys-test.ts';

/** `sealgate keys …`: private keys and their certificates, in key stores, files and tokens. One file a command. */
export function addKeysCommands(program: Command): void {
  const keys = program.command('keys').description('private keys and their certificates');
  addKeysList(keys);
  addKeysGenerate(keys);
  addKeysImport(keys);
  addKeysExport(keys);
  addKeysTest(keys);
  addKeysDelete(keys);
  addKeysCreateStore(keys);
}
