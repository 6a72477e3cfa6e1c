import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import {
  type Chosen,
  countQueue,
  flush,
  hold,
  listQueue,
  type Progress,
  release,
  removeDeliveries,
  retryNow,
} from '../queue/by-hand.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { requireConfirmation } from './confirmation.ts';
import { jsonText } from './json-output.ts';
import { type QueueRows, withQueueRows } from './kept-state.ts';
import { tellProgress } from './progress.ts';
import { type Choosing, choosing, chosenBy, filters } from './queue-choice.ts';
import { addRouteCommand } from './queue-route.ts';
import { deliveryAsJson, deliveryPage } from './queue-text.ts';
import { configPath, readConfig } from './read-config.ts';

const NOTHING_LIKE_THAT = 'There is nothing like that in the queue: “sealgate queue list” shows what is.';

type Options = Choosing & { config?: string; json?: true };

/** `sealgate queue`: what the gateway delivers by itself. Works while it runs, and while it does not. */
export function addQueueCommands(program: Command): void {
  const queue = program.command('queue').description('mail that the gateway delivers by itself');
  const common = (command: Command): Command =>
    command
      .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
      .option('--json', 'as JSON');
  common(
    filters(queue.command('list'))
      .argument('[ids...]', 'of deliveries or of mails; default: all')
      .option('--limit <number>', `show so many at most (${limits.queue.listed})`)
      .description('what waits, why, and when it is tried again; the oldest first'),
  ).action((ids: string[], options: Options & { limit?: string }) => list(ids, options));
  common(
    queue
      .command('show')
      .argument('<id>', 'of a delivery or of a mail')
      .description('everything that is known of a delivery, and of each recipient; nothing of its text'),
  ).action((id: string, options: Options) => show(id, options));
  common(
    choosing(queue.command('retry')).description('try again now; a running gateway does so within seconds'),
  ).action((ids: string[], options: Options) => change(ids, options, RETRY));
  common(
    queue
      .command('flush')
      .argument('<destination>', 'as “sealgate queue list” shows it')
      .description('call a destination now, though it was found away, and try all that waits for it'),
  ).action((destination: string, options: Options) => change([], { ...options, destination }, FLUSH));
  common(choosing(queue.command('hold')).description('neither try nor give up until it is released')).action(
    (ids: string[], options: Options) => change(ids, options, HOLD),
  );
  common(
    choosing(queue.command('release')).description('try again what was held, for as long as it had left'),
  ).action((ids: string[], options: Options) => change(ids, options, RELEASE));
  common(
    choosing(queue.command('remove'))
      .option('--yes', 'do not ask')
      .description('throw away for good; nobody gets it, and its sender is not told'),
  ).action((ids: string[], options: Options & { yes?: true }) => remove(ids, options));
  addRouteCommand(queue);
}

/** What is done to those that are chosen, and what is said of it. */
type Change = {
  act(store: SqlStore, chosen: Chosen, now: Date, progress: Progress): Promise<number>;
  key: string;
  done: string;
};

const RETRY: Change = { act: retryNow, key: 'due', done: 'due now.' };
const FLUSH: Change = {
  ...RETRY,
  act: (store, { destination = '' }, now, progress) => flush(store, destination, now, progress),
};
const HOLD: Change = {
  ...{ act: hold, key: 'held', done: 'held. What is being delivered in this moment may still arrive.' },
};
const RELEASE: Change = { act: release, key: 'released', done: 'due now.' };

async function list(ids: readonly string[], options: Options & { limit?: string }): Promise<void> {
  const chosen = chosenBy(ids, options);
  const most = Math.min(Number(options.limit ?? limits.queue.listed), limits.queue.listed);
  if (!Number.isInteger(most) || most < 1) throw unusable('--limit wants a number from 1.');
  const { deliveries, more } = await withQueue(options, { deliveries: [], more: 0 }, async ({ store }) => {
    const found = await listQueue(store, chosen, most);
    const all = found.length < most ? found.length : await countQueue(store, chosen);
    return { deliveries: found, more: all - found.length };
  });
  if (options.json === true) {
    process.stdout.write(`${jsonText({ deliveries: deliveries.map(deliveryAsJson), more })}\n`);
  } else if (deliveries.length === 0) {
    const everything = Object.keys(chosen).length === 0;
    process.stdout.write(`${everything ? 'Nothing is in the queue.' : NOTHING_LIKE_THAT}\n`);
  } else {
    const rest = more > 0 ? `\nand ${more} more\n` : '';
    const now = new Date();
    process.stdout.write(`${deliveries.map((one) => deliveryPage(one, now)).join('\n')}${rest}`);
  }
}

async function show(id: string, options: Options): Promise<void> {
  const found = await withQueue(options, [], ({ store }) =>
    listQueue(store, { ids: [id] }, limits.queue.listed),
  );
  if (found.length === 0) throw unusable(NOTHING_LIKE_THAT);
  const now = new Date();
  const text = found.map((one) => deliveryPage(one, now, 'everything')).join('\n');
  const json = () => jsonText({ deliveries: found.map(deliveryAsJson) });
  process.stdout.write(options.json === true ? `${json()}\n` : text);
}

async function change(ids: readonly string[], options: Options, { act, key, done }: Change): Promise<void> {
  const chosen = chosenBy(ids, options, 'something');
  const changed = await withQueue(options, 0, ({ store }) => act(store, chosen, new Date(), tellDone));
  tell(options, { [key]: changed }, changed === 0 ? NOTHING_LIKE_THAT : `${count(changed)} ${done}`);
}

async function remove(ids: readonly string[], options: Options & { yes?: true }): Promise<void> {
  const chosen = chosenBy(ids, options, 'something');
  const removed = await withQueue(options, 0, async ({ store, remove: removeSealed }) => {
    const found = await countQueue(store, chosen);
    const [first = `${found}`] = ids;
    if (found > 0) await requireConfirmation(`remove from the queue ${found}`, first, options.yes);
    return removeDeliveries(store, removeSealed, chosen, tellDone);
  });
  const text =
    removed === 0
      ? NOTHING_LIKE_THAT
      : `${count(removed)} removed. What was being delivered in this moment may still arrive.`;
  tell(options, { removed }, text);
}

function tellDone(done: number): void {
  tellProgress(`${done} deliveries`);
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

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.arguments', duration: 'permanent', publicText });
}
