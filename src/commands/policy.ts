import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { openMemberships } from '../directory/groups/open-memberships.ts';
import { loadPinnedFiles } from '../directory/pinned-files.ts';
import { SealgateError } from '../errors.ts';
import { archivesWithoutQueue } from '../gateway/archives.ts';
import { openDirectory } from '../gateway/directory.ts';
import { judgingParts } from '../gateway/outbound.ts';
import { loadTrust, openRevocationFor } from '../gateway/trust.ts';
import { createKeyring } from '../hsm/keyring.ts';
import { newMailId, newSessionId } from '../ids.ts';
import { silentLog } from '../log/log.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { explainSubmission } from '../pipeline/explain-submission.ts';
import { explainedLines } from '../pipeline/explained-lines.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { configuredLogin } from '../sasl/configured-login.ts';
import { Principal } from '../sasl/principal.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { openSqliteAsItIs } from '../store/sqlite.ts';
import { openCertificateRows } from './kept-state.ts';
import { keysWithoutLogin } from './keys-without-login.ts';
import { type ReplayOptions, replayPolicy } from './policy-replay.ts';
import { configPath, readConfig } from './read-config.ts';

/** `sealgate policy explain`: what would happen to a mail, and why, by the code that would do it. */
export function addPolicyCommands(program: Command): void {
  const policy = program.command('policy').description('what the rules say');
  policy
    .command('explain')
    .description('what would happen to a mail, for each recipient, and why')
    .requiredOption('--from <address>', 'From address')
    .requiredOption('--to <address...>', 'recipients')
    .option('--login <login>', 'login; default: the From address')
    .option('--listener <name>', 'submission listener; default: the first one')
    .option('--message <file>', 'the mail as a file; without it, one of which only From and To are known')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action((options: ExplainOptions) => explainMail(options));
  policy
    .command('replay')
    .description('which mails of the last days other rules would treat otherwise; changes nothing')
    .requiredOption('--rules <file>', 'file with the section policy, as in the configuration')
    .option('--days <number>', 'how many days back; default: as many as are kept')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action((options: ReplayOptions) => replayPolicy(options));
}

type ExplainOptions = {
  from: string;
  to: string[];
  login?: string;
  listener?: string;
  message?: string;
  config?: string;
  json?: true;
};

async function explainMail({
  from,
  to,
  login,
  listener,
  message,
  config: file,
  json,
}: ExplainOptions): Promise<void> {
  for (const address of [from, ...to]) requireAddress(address);
  const config = await readConfig(configPath(file));
  if (listener !== undefined && !config.submission.some(({ name }) => name === listener)) {
    throw new SealgateError({
      code: 'command.listener',
      duration: 'permanent',
      publicText: `There is no submission listener called ${JSON.stringify(listener)} in the configuration.`,
    });
  }
  const clock = () => new Date();
  await using opened = new AsyncDisposableStack();
  // Whatever fails from here on, no thread or key process may keep the command from ending.
  const store = opened.adopt(await openSqliteAsItIs(config.directory.file), (one) => one.close());
  const sources = opened.adopt(await keysWithoutLogin(config, store), (one) => one.close());
  const pinned = await loadPinnedFiles(config.directory.pinned);
  const certificates = opened.adopt(await openCertificateRows(config, store), (one) => one.close());
  const { loginIsAddress, list: principals } = config.principals;
  const keyring = createKeyring({ principals, loginIsAddress, keys: sources, log: silentLog, clock });
  const principal = Principal.named(configuredLogin(login ?? from));
  const opening = { config, log: silentLog, clock };
  const trust = await loadTrust(config.trust);
  const directory = await openDirectory(opening, { certificates, pinned, trust, outages: null });
  const revocation = opened.adopt(await openRevocationFor(opening, trust), (one) => one.close());
  const explained = await explainSubmission(
    {
      id: newMailId(),
      origin: {
        session: newSessionId(),
        listener: listener ?? config.submission[0]?.name ?? '',
        ...{ principal, remote: '' },
      },
      envelope: { reversePath: null, mailParameters: [], recipients: to.map(recipientOf) },
      octets: bufferSource(
        message === undefined ? emptyMail(from, to) : withLineEnds(await readFile(message)),
      ),
    },
    // What the server offers shows when it is called: here it is what the listener's settings ask for.
    { tls: tlsUpstream(config, listener), requireTls: tlsUpstream(config, listener) },
    {
      ...{ ...judgingParts(config, { keyring, revocation, clock }), directory, log: silentLog },
      delivered: NOTHING_DELIVERED,
      rules: config.policy.rules,
      groups: config.policy.groups,
      memberships: await openMemberships(config.directory, silentLog),
    },
    archivesWithoutQueue(config),
  );
  const text = json === true ? JSON.stringify(explained, null, 2) : explainedLines(explained).join('\n');
  process.stdout.write(`${text}\n`);
}

function tlsUpstream({ submission }: Config, listener: string | undefined): boolean {
  const chosen = submission.find(({ name }) => name === listener) ?? submission[0];
  return chosen !== undefined && chosen.upstream.tls !== 'none';
}

/** Nothing is handed over here. */
const NOTHING_DELIVERED = {
  has: async () => false,
  record: async () => undefined,
  forget: async () => undefined,
};

/** A mail of which nothing but its author and its recipients is known. */
function emptyMail(from: string, to: readonly string[]): Buffer {
  return Buffer.from(`From: <${from}>\r\nTo: ${to.map((one) => `<${one}>`).join(',\r\n ')}\r\n\r\n`);
}

/** As it would come by SMTP: a file mostly has other line ends. */
function withLineEnds(octets: Buffer): Buffer {
  const text = octets.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n');
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}

function recipientOf(address: string): Recipient {
  const at = address.lastIndexOf('@');
  return { mailbox: { localPart: address.slice(0, at), domain: address.slice(at + 1) }, parameters: [] };
}

function requireAddress(text: string): void {
  if (parseMailbox(text) !== null) return;
  throw new SealgateError({
    code: 'command.address',
    duration: 'permanent',
    publicText: `${JSON.stringify(text)} is not a mail address; one like alice@example.org is expected.`,
  });
}
