import { userInfo } from 'node:os';
import type { Command } from 'commander';
import { SealgateError, unreachable } from '../errors.ts';
import { findHeld, listHeld } from '../holding/held-list.ts';
import type { Choice, HeldMail } from '../holding/held-mail.ts';
import { awaitOutcome, makeWish, type WishOutcome } from '../holding/wishes.ts';
import type { MailId } from '../ids.ts';
import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import { listQueue } from '../queue/by-hand.ts';
import type { Delivery } from '../queue/delivery-rows.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { requireConfirmation } from './confirmation.ts';
import { jsonText } from './json-output.ts';
import { withQueueRows } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';

type Options = { config?: string; json?: true };
type Choosing = Options & { to?: string[]; by?: string; yes?: true };

/** The gateway looks every second. */
const OUTCOME_MS = 15_000;

/** `sealgate held`: mail that waits for a certificate. What is chosen is done by the running gateway, which has the keys. */
export function addHeldCommands(program: Command): void {
  const held = program.command('held').description('mail that waits for a certificate');
  const common = (command: Command): Command =>
    command
      .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
      .option('--json', 'as JSON');
  const choosing = (command: Command): Command =>
    common(command)
      .argument('<mail>', 'id, as “sealgate held list” shows it')
      .option('--to <addresses...>', 'for these recipients; default: for all who wait')
      .option('--by <name>', 'who decides; default: the user of this machine');
  common(
    held
      .command('list')
      .option('--from <address>', 'of this sender')
      .description('what waits, for whom and why, the newest first'),
  ).action((options: Options & { from?: string }) => list(options));
  common(
    held.command('show').argument('<mail>', 'its id').description('one mail, and what became of it'),
  ).action((id: string, options: Options) => show(id, options));
  choosing(
    held.command('release').description('look now whether it can be encrypted, and send it if so'),
  ).action((id: string, options: Choosing) => choose(id, 'release', options));
  choosing(
    held
      .command('send-signed')
      .option('--yes', 'do not ask')
      .description('send it signed and not encrypted, where its rule allows that; its sender is told'),
  ).action((id: string, options: Choosing) => choose(id, 'send-signed', options));
  choosing(
    held
      .command('discard')
      .option('--yes', 'do not ask')
      .description('delete it, unsent; its sender is told'),
  ).action((id: string, options: Choosing) => choose(id, 'discard', options));
}

async function list(options: Options & { from?: string }): Promise<void> {
  const mails = await withQueue(options, [], (store) =>
    listHeld(store, { from: options.from ?? null, limit: limits.holding.listed }),
  );
  if (options.json === true) process.stdout.write(`${jsonText({ mails })}\n`);
  else if (mails.length === 0) process.stdout.write('Nothing waits.\n');
  else process.stdout.write(mails.map((mail) => page(mail)).join('\n'));
}

async function show(id: string, options: Options): Promise<void> {
  const found = await withQueue(options, null, async (store) => {
    const mail = await findHeld(store, id as MailId);
    return mail === null
      ? null
      : { mail, queued: await listQueue(store, { ids: [mail.id] }, limits.queue.listed) };
  });
  if (found === null) throw unknown(id);
  const { mail, queued } = found;
  const text = `${page(mail)}${onward(mail, queued)}`;
  process.stdout.write(options.json === true ? `${jsonText(mail)}\n` : text);
}

async function choose(id: string, choice: Choice, options: Choosing): Promise<void> {
  const outcome = await withQueue<WishOutcome | null>(options, { kind: 'unknown' }, async (store) => {
    const mail = await findHeld(store, id as MailId);
    if (mail === null) return { kind: 'unknown' };
    // What nobody may choose is refused by the gateway with its reason, and needs no question before.
    const isOffered = mail.choices.includes(choice);
    if (choice !== 'release' && isOffered) await requireConfirmation(QUESTIONS[choice], id, options.yes);
    // Whoever became root by sudo is the one who decides.
    const by = options.by ?? (process.env.SUDO_USER || userInfo().username);
    const recipients = options.to ?? null;
    const wish = await makeWish(store, { mail: mail.id, choice, recipients, by }, new Date());
    return awaitOutcome(store, wish, { milliseconds: OUTCOME_MS });
  });
  if (outcome === null) {
    const text = 'It is written down, but no gateway has done it yet: it is done as soon as one runs.';
    return tell(options, { outcome: 'written-down' }, text);
  }
  switch (outcome.kind) {
    case 'done': {
      const mail = await withQueue(options, null, (store) => findHeld(store, id as MailId));
      return tell(options, { outcome: 'done', mail }, mail === null ? 'Done.' : page(mail));
    }
    case 'unknown':
      throw unknown(id);
    case 'refused':
    case 'failed':
      throw new SealgateError({
        code: `held.${outcome.kind}`,
        duration: outcome.kind === 'failed' ? 'temporary' : 'permanent',
        publicText: outcome.publicText,
      });
    default:
      return unreachable(outcome);
  }
}

const QUESTIONS: Readonly<Record<Choice, string>> = {
  'send-signed': 'send the mail without encryption',
  wait: 'leave the mail waiting',
  discard: 'discard the mail',
  release: 'release the mail',
};

function page({ id, from, login, subject, heldAt, expiresAt, rule, recipients }: HeldMail): string {
  return [
    `${id}  from ${printable(from)} (login ${printable(login)}), rule ${printable(rule)}`,
    ...(subject === null ? [] : [`  Subject: ${printable(subject)}`]),
    `  since ${heldAt.toISOString()}, given up after ${expiresAt.toISOString()}`,
    ...recipients.map(
      ({ address, state, because }) => `    ${printable(address)}: ${state}, ${printable(because)}`,
    ),
    '',
  ].join('\n');
}

/** What has become of those whose mail is `leaving`, which is the queue's to say. */
function onward({ id, recipients }: HeldMail, queued: readonly Delivery[]): string {
  if (!recipients.some(({ state }) => state === 'leaving')) return '';
  return queued.some(({ purpose }) => purpose === 'released')
    ? `  what leaves is still in the queue: sealgate queue list ${id}\n`
    : '  what was leaving is not in the queue any more: the log says what became of it (queue.delivered, queue.failed)\n';
}

function tell({ json }: Options, value: object, text: string): void {
  process.stdout.write(json === true ? `${jsonText(value)}\n` : `${text.trimEnd()}\n`);
}

async function withQueue<T>({ config }: Options, none: T, act: (store: SqlStore) => Promise<T>): Promise<T> {
  return withQueueRows(await readConfig(configPath(config)), none, ({ store }) => act(store));
}

function unknown(id: string): SealgateError {
  return new SealgateError({
    code: 'held.unknown',
    duration: 'permanent',
    publicText: `No mail with the id ${printable(id)} waits here: “sealgate held list” shows those that do.`,
  });
}
