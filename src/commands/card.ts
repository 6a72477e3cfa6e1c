import type { Command } from 'commander';
import { printable } from '../log/printable.ts';
import { cardStatus, statusJson, statusLines } from './card-status.ts';
import { jsonText } from './json-output.ts';
import { type SecretOptions, secretSource, withSecrets } from './secret-options.ts';
import { askToken, namedConfig, type TokenOptions, tokenPlace, withToken } from './token-options.ts';

/** `sealgate card status` and `sealgate card pin change|unblock`: what the holder of a card needs. */
export function addCardCommands(program: Command): void {
  const card = program.command('card').description('smart cards');
  withToken(
    card
      .command('status')
      .description(
        'reader, card, certificates and what each key may do; for each fault what to do; exit code 1 if there is one',
      ),
  )
    .option('--json', 'as JSON')
    .action(status);
  const pin = card.command('pin').description('the PIN of a card or token');
  withSecrets(
    withToken(pin.command('change').description('set a new PIN with the old one')),
    'pin',
    'new-pin',
  )
    .option('--use-last-try', 'use the last try that is left; a wrong PIN then blocks the card')
    .action(change);
  withSecrets(
    withToken(pin.command('unblock').description('set a new PIN with the PUK or the security officer’s PIN')),
    ...(['puk', 'new-pin'] as const),
  )
    .option('--use-last-try', 'use the last try that is left for the PUK')
    .action(unblock);
}

type PinOptions = TokenOptions & SecretOptions & { useLastTry?: true };

async function status(options: TokenOptions & { json?: true }): Promise<void> {
  const found = await cardStatus(options, await namedConfig(options), new Date());
  process.stdout.write(
    `${options.json === true ? jsonText(statusJson(found)) : statusLines(found).join('\n')}\n`,
  );
  if (found.problems.some(({ severity }) => severity === 'fault')) process.exitCode = 1;
}

async function change(options: PinOptions): Promise<void> {
  const place = await tokenPlace(options, await namedConfig(options));
  const { pin } = place;
  await askToken<'change-pin'>(place, {
    kind: 'change-pin',
    login: { pin: secretSource('pin', options, pin), useLastTry: options.useLastTry === true },
    newPin: secretSource('new-pin', options),
  });
  const file =
    pin !== null && 'file' in pin
      ? ` Put the new one into ${printable(pin.file)}, from where the gateway reads it.`
      : '';
  process.stdout.write(`The PIN was changed.${file}\n`);
}

async function unblock(options: PinOptions): Promise<void> {
  const place = await tokenPlace(options, await namedConfig(options));
  const { how } = await askToken<'unblock-pin'>(place, {
    kind: 'unblock-pin',
    puk: secretSource('puk', options),
    newPin: secretSource('new-pin', options),
    useLastTry: options.useLastTry === true,
  });
  process.stdout.write(
    `The new PIN is set (by ${how === 'puk' ? 'the PUK' : 'the security officer’s PIN'}).\n`,
  );
}
