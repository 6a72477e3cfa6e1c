import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import { type Chosen, listQueue, removeDeliveries, retryNow } from '../queue/by-hand.ts';
import type { Delivery } from '../queue/delivery-rows.ts';
import { writePath } from '../smtp/path.ts';
import { requireConfirmation } from './confirmation.ts';
import { jsonText } from './json-output.ts';
import { type QueueRows, withQueueRows } from './kept-state.ts';
import { addRouteCommand } from './queue-route.ts';
import { configPath, readConfig } from './read-config.ts';

const NOTHING_LIKE_THAT = 'There is nothing like that in the queue: “sealgate queue list” shows what is.';

type Options = { config?: string; json?: true };

/** `sealgate queue`: what the gateway delivers by itself. Works while it runs, and while it does not. */
export function addQueueCommands(program: Command): void {
  const queue = program.command('queue').description('mail that the gateway delivers by itself');
  const common = (command: Command): Command =>
    command
      .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
      .option('--json', 'as JSON');
  common(
    queue
      .command('list')
      .argument('[ids...]', 'of deliveries or of mails; default: all')
      .description('what waits, why, and when it is tried again'),
  ).action((ids: string[], options: Options) => list(ids, options));
  common(
    queue
      .command('retry')
      .argument('[ids...]', 'of deliveries or of mails')
      .option('--all', 'everything that has been tried')
      .description('try again now; a running gateway does so within seconds'),
  ).action((ids: string[], options: Options & { all?: true }) => retry(ids, options));
  common(
    queue
      .command('remove')
      .argument('<ids...>', 'of deliveries or of mails')
      .option('--yes', 'do not ask')
      .description('throw away for good; nobody gets it, and its sender is not told'),
  ).action((ids: string[], options: Options & { yes?: true }) => remove(ids, options));
  addRouteCommand(queue);
}

async function list(ids: readonly string[], options: Options): Promise<void> {
  const chosen: Chosen = ids.length === 0 ? {} : { ids };
  const deliveries = await withQueue(options, [], ({ store }) =>
    listQueue(store, chosen, limits.queue.listed),
  );
  if (options.json === true) {
    process.stdout.write(`${jsonText({ deliveries: deliveries.map(asJson) })}\n`);
  } else if (deliveries.length === 0) {
    process.stdout.write(`${ids.length === 0 ? 'Nothing is in the queue.' : NOTHING_LIKE_THAT}\n`);
  } else {
    process.stdout.write(deliveries.map((one) => page(one)).join('\n'));
  }
}

async function retry(ids: readonly string[], options: Options & { all?: true }): Promise<void> {
  if ((options.all === true) === ids.length > 0) {
    throw unusable('Say either the ids of what is to be tried again, or --all.');
  }
  const chosen: Chosen = options.all === true ? {} : { ids };
  const due = await withQueue(options, 0, ({ store }) => retryNow(store, chosen, new Date()));
  tell(options, { due }, due === 0 ? NOTHING_LIKE_THAT : `${count(due)} due now.`);
}

async function remove(ids: readonly string[], options: Options & { yes?: true }): Promise<void> {
  const removed = await withQueue(options, 0, async ({ store, remove: removeSealed }) => {
    const found = await listQueue(store, { ids }, limits.queue.listed);
    const [first = ''] = ids;
    if (found.length > 0) await requireConfirmation('remove from the queue', first, options.yes);
    return removeDeliveries(store, removeSealed, { ids });
  });
  const text =
    removed === 0
      ? NOTHING_LIKE_THAT
      : `${count(removed)} removed. What was being delivered in this moment may still arrive.`;
  tell(options, { removed }, text);
}

function count(deliveries: number): string {
  return deliveries === 1 ? 'One delivery is' : `${deliveries} deliveries are`;
}

function tell({ json }: Options, value: object, text: string): void {
  process.stdout.write(json === true ? `${jsonText(value)}\n` : `${text}\n`);
}

async function withQueue<T>({ config }: Options, none: T, act: (queue: QueueRows) => Promise<T>): Promise<T> {
  return withQueueRows(await readConfig(configPath(config)), none, act);
}

function page(delivery: Delivery): string {
  const { id, mail, purpose, way, reversePath, octets, attempts, enqueuedAt, nextAt, expiresAt } = delivery;
  const place = way.kind === 'append' ? `, for the archive ${printable(way.archive)}` : '';
  const tried = attempts === 0 ? 'not tried yet' : `tried ${attempts === 1 ? 'once' : `${attempts} times`}`;
  return [
    `${id}  ${purpose}${place}, ${octets} octets, of mail ${printable(mail)}`,
    `  from ${printable(writePath(reversePath))}, since ${enqueuedAt.toISOString()}, ${tried}`,
    `  next attempt ${nextAt.toISOString()}, given up after ${expiresAt.toISOString()}`,
    ...delivery.recipients.map(({ recipient, because }) => {
      const why = because === null ? '' : `: ${printable(because)}`;
      return `    ${printable(writePath(recipient.mailbox))}${why}`;
    }),
    '',
  ].join('\n');
}

function asJson(delivery: Delivery) {
  const { id, mail, purpose, way, reversePath, octets, attempts, recipients } = delivery;
  const { enqueuedAt, nextAt, lastAt, expiresAt } = delivery;
  return {
    ...{ id, mail, purpose, way, from: writePath(reversePath), octets, attempts },
    ...{ enqueuedAt, lastAt, nextAt, expiresAt },
    recipients: recipients.map(({ recipient, because, reply }) => ({
      address: writePath(recipient.mailbox),
      ...{ because, reply },
    })),
  };
}

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.arguments', duration: 'permanent', publicText });
}
