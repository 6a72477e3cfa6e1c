import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { readMailboxName } from '../imap-proxy/append/mailbox-name.ts';
import { printable } from '../log/printable.ts';
import { readerOf } from '../reading/record-seal.ts';
import { canonicalLogin } from '../sasl/canonical-login.ts';
import { SqliteEpochs } from '../store/epochs.ts';
import { jsonText } from './json-output.ts';
import { installationOf, withEpochRows } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';
import { addForgetCommand } from './reading-forget.ts';

/** `sealgate reading new-epoch`: clients of a login download mailboxes anew. */
export function addReadingCommands(program: Command): void {
  const reading = program.command('reading').description('how mail is shown');
  reading
    .command('new-epoch')
    .description(
      'make every mail program of a login download its mailboxes again, from the next time that it selects them',
    )
    .requiredOption('--login <login>', 'whose mailboxes')
    .option('--mailbox <name>', 'only this mailbox; default: all of them')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action((options: NewEpochOptions) => newEpoch(options));
  addForgetCommand(reading);
}

type NewEpochOptions = { login: string; mailbox?: string; config?: string; json?: true };

/** At one mail server. */
type Begun = {
  server: string;
  epoch: number;
  /** Mailboxes concerned that were ever selected through the gateway. */
  known: number;
};

async function newEpoch(options: NewEpochOptions): Promise<void> {
  const login = canonicalLogin(Buffer.from(options.login));
  if (login === null)
    throw unusable('command.login', 'That is no login: it is empty, or has control characters.');
  const mailbox = options.mailbox === undefined ? null : readMailboxName(Buffer.from(options.mailbox));
  if (mailbox === '')
    throw unusable('command.mailbox', 'A mailbox has a name. Leave --mailbox out for all of them.');
  const config = await readConfig(configPath(options.config));
  const servers = serversOf(config);
  if (servers.length === 0) {
    throw unusable('command.no-listener', 'The configuration has no listener for IMAP or POP3.');
  }
  const begun = await begin(config, login, mailbox, servers);
  process.stdout.write(
    options.json === true ? `${jsonText({ login, mailbox, servers: begun })}\n` : page(login, mailbox, begun),
  );
}

async function begin(
  config: Config,
  login: string,
  mailbox: string | null,
  servers: readonly string[],
): Promise<Begun[]> {
  const { viewSecret } = await installationOf(config);
  return withEpochRows(config, async (store) => {
    const epochs = new SqliteEpochs(store, () => new Date());
    const begun: Begun[] = [];
    for (const server of servers) {
      const reader = readerOf(viewSecret, server, login);
      const known = await epochs.known(reader, mailbox);
      begun.push({ server, epoch: await epochs.begin(reader, mailbox), known });
    }
    return begun;
  });
}

function serversOf({ imap, pop3 }: Config): readonly string[] {
  return [...new Set([...imap, ...pop3].map(({ upstream }) => upstream.host.toLowerCase()))];
}

function page(login: string, mailbox: string | null, begun: readonly Begun[]): string {
  const which = mailbox === null ? 'all mailboxes' : `the mailbox ${printable(mailbox)}`;
  const lines = begun.map(({ server, epoch, known }) => {
    const seen =
      known === 0
        ? 'none of it was selected through this gateway so far: is the login right?'
        : `${known} ${known === 1 ? 'mailbox was' : 'mailboxes were'} selected so far`;
    return `  ${server}: epoch ${epoch} (${seen})`;
  });
  const pop3 =
    mailbox === null || mailbox === 'INBOX'
      ? 'By POP3 all mail that is still on the server is downloaded again, beside what programs have.\n'
      : '';
  return `A new epoch of ${which} of ${printable(login)} has begun:
${lines.join('\n')}
Every mail program of this login downloads ${which} again when it selects them next; what it has cached of them is void.
Sessions that have a mailbox selected go on until then. A running gateway need not be told.
${pop3}`;
}

function unusable(code: string, publicText: string): SealgateError {
  return new SealgateError({ code, publicText, duration: 'permanent' });
}
