import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { TRAIL } from '../store/trail-migrations.ts';
import { keptSince } from '../trail/forgetting.ts';
import { findMails, type Step, stepsOf, type TakenMail, type Wanted } from '../trail/read-trail.ts';
import { tellStep } from '../trail/tell-step.ts';
import { jsonText } from './json-output.ts';
import { withTrailRows } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';

type Options = { config?: string; json?: true };
type Finding = Options & { from?: string; to?: string; hours?: string };

/** `sealgate trace`: what became of a mail. Works while the gateway runs, and while it does not. */
export function addTraceCommand(program: Command): void {
  program
    .command('trace')
    .argument('[ids...]', 'of mails, as replies and log lines have them; default: the mails that are found')
    .option('--from <address>', 'find mails of this sender or login; “” for mail without a sender')
    .option('--to <address>', 'find mails to this recipient, or to a part of an address')
    .option('--hours <hours>', 'find mails of the last hours')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .description('what became of a mail: how it was protected, and what mail servers said')
    .action((ids: string[], options: Finding) => trace(ids, options));
}

async function trace(ids: readonly string[], options: Finding): Promise<void> {
  const { from, to, hours } = options;
  if (ids.length > 0 && (from ?? to ?? hours) !== undefined) {
    throw unusable('Say either the ids of mails, or --from, --to and --hours to find some.');
  }
  const wanted: Wanted = {
    ...(from === undefined ? {} : { from: bare(from) }),
    ...(to === undefined ? {} : { to: bare(to) }),
    ...(hours === undefined ? {} : { since: hoursAgo(hours) }),
  };
  await withTrail(options, async (store, after) => {
    if (ids.length > 0) await tellMails(store, ids, after, options);
    else tellFound(await findMails(store, wanted, after, limits.trail.shownMails), options);
  });
}

async function tellMails(
  store: SqlStore,
  ids: readonly string[],
  after: Date,
  { json }: Options,
): Promise<void> {
  const mails = [];
  for (const mail of ids)
    mails.push({ mail, steps: await stepsOf(store, mail, after, limits.trail.shownLines) });
  const unknown = mails.filter(({ steps }) => steps.length === 0).map(({ mail }) => mail);
  if (json === true) {
    const asJson = ({ at, node, event: { level: _, mail: __, ...event } }: Step) => ({
      ...(node === undefined ? { at } : { at, node }),
      ...event,
    });
    process.stdout.write(
      `${jsonText({ mails: mails.map(({ mail, steps }) => ({ mail, steps: steps.map(asJson) })) })}\n`,
    );
  } else {
    const known = mails.filter(({ steps }) => steps.length > 0);
    process.stdout.write(known.map(({ mail, steps }) => page(mail, steps)).join('\n'));
  }
  const [first] = unknown;
  if (first === undefined) return;
  throw new SealgateError({
    code: 'trace.unknown',
    duration: 'permanent',
    publicText: `Nothing is known of the mail ${printable(first)}: check the id, or look for the mail with --from and --to. What is older than log.traceDays is forgotten.`,
  });
}

function page(mail: string, steps: readonly Step[]): string {
  const lines = steps.map(({ at, node, event }) => {
    const where = node === undefined ? '' : `${printable(node)}: `;
    return `  ${at.toISOString()}  ${where}${tellStep(event)}`;
  });
  return `${printable(mail)}\n${lines.join('\n')}\n`;
}

function tellFound(mails: readonly TakenMail[], { json }: Options): void {
  if (json === true) {
    process.stdout.write(`${jsonText({ mails })}\n`);
  } else if (mails.length === 0) {
    process.stdout.write('No mail like that is known.\n');
  } else {
    const line = ({ mail, at, sender, recipients }: TakenMail) =>
      `${printable(mail)}  ${at.toISOString()}  ${printable(sender === '' ? '<>' : sender)} to ${printable(recipients)}\n`;
    process.stdout.write(mails.map(line).join(''));
  }
}

/** `<bob@example.org>`, as lists and replies show it, without its brackets. */
function bare(address: string): string {
  return address.replace(/^<(.*)>$/, '$1');
}

function hoursAgo(text: string): Date {
  if (!/^[0-9]{1,6}$/.test(text)) throw unusable('--hours takes a whole number, like 24.');
  return new Date(Date.now() - Number(text) * 3_600_000);
}

/** `act` is told what is over: a gateway that was stopped for long has not deleted it yet. */
async function withTrail(
  options: Options,
  act: (store: SqlStore, after: Date) => Promise<void>,
): Promise<void> {
  const config = await readConfig(configPath(options.config));
  const isThere = await withTrailRows(config, false, async (store) => {
    await act(store, keptSince(new Date(), config.log.traceDays));
    return true;
  });
  if (isThere) return;
  throw new SealgateError({
    code: 'trace.nothing-kept',
    duration: 'permanent',
    publicText:
      config.log.traceDays === 0
        ? 'The configuration says log.traceDays: 0, so nothing is known of any mail.'
        : `No gateway has taken a mail with this configuration yet: there is no ${TRAIL} in ${config.stateFolder}.`,
  });
}

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.arguments', duration: 'permanent', publicText });
}
