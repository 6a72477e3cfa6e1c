import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import { countQueue, listQueue, removeDeliveries, timeOfQueue, unknownIds } from '../queue/by-hand.ts';
import { requireConfirmation } from './confirmation.ts';
import { jsonText } from './json-output.ts';
import { type QueueRows, withQueueRows } from './kept-state.ts';
import { tellProgress } from './progress.ts';
import { type Change, count, FLUSH, HOLD, NOTHING_LIKE_THAT, RELEASE, RETRY } from './queue-changes.ts';
import { type Choosing, choosing, chosenBy, filters } from './queue-choice.ts';
import { addRouteCommand } from './queue-route.ts';
import { deliveryAsJson, deliveryPage } from './queue-text.ts';
import { configPath, readConfig } from './read-config.ts';

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

async function list(ids: readonly string[], options: Options & { limit?: string }): Promise<void> {
  const chosen = chosenBy(ids, options);
  const most = Math.min(Number(options.limit ?? limits.queue.listed), limits.queue.listed);
  if (!Number.isInteger(most) || most < 1) throw unusable('--limit wants a number from 1.');
  const none = { deliveries: [], more: 0, now: new Date() };
  const { deliveries, more, now } = await withQueue(options, none, async ({ store }) => {
    const found = await listQueue(store, chosen, most);
    const all = found.length < most ? found.length : await countQueue(store, chosen);
    return { deliveries: found, more: all - found.length, now: await timeOfQueue(store) };
  });
  if (options.json === true) {
    process.stdout.write(`${jsonText({ deliveries: deliveries.map(deliveryAsJson), more })}\n`);
  } else if (deliveries.length === 0) {
    const everything = Object.keys(chosen).length === 0;
    process.stdout.write(`${everything ? 'Nothing is in the queue.' : NOTHING_LIKE_THAT}\n`);
  } else {
    const rest = more > 0 ? `\nand ${more} more\n` : '';
    process.stdout.write(`${deliveries.map((one) => deliveryPage(one, now)).join('\n')}${rest}`);
  }
}

async function show(id: string, options: Options): Promise<void> {
  const { found, now } = await withQueue(options, { found: [], now: new Date() }, async ({ store }) => ({
    found: await listQueue(store, { ids: [id] }, limits.queue.listed),
    now: await timeOfQueue(store),
  }));
  if (found.length === 0) throw notThere(id);
  const text = found.map((one) => deliveryPage(one, now, 'everything')).join('\n');
  const json = () => jsonText({ deliveries: found.map(deliveryAsJson) });
  process.stdout.write(options.json === true ? `${json()}\n` : text);
}

async function change(ids: readonly string[], options: Options, change: Change): Promise<void> {
  const chosen = chosenBy(ids, options, 'something');
  const none = { changed: 0, text: NOTHING_LIKE_THAT, unknown: ids };
  const { changed, text, unknown } = await withQueue(options, none, async ({ store }) => {
    const missing = await unknownIds(store, ids);
    const done = await change.act(store, chosen, new Date(), tellDone);
    const [all, held] = [
      await countQueue(store, chosen),
      await countQueue(store, { ...chosen, state: 'held' }),
    ];
    const said = [done === 0 ? '' : `${count(done)} ${change.done}`, change.left(done, { all, held })];
    const lines = said.filter((one) => one !== '').join('\n');
    return { changed: done, text: lines || (await change.nothing(store, chosen)), unknown: missing };
  });
  tell(options, { [change.key]: changed }, text, unknown);
}

async function remove(ids: readonly string[], options: Options & { yes?: true }): Promise<void> {
  const chosen = chosenBy(ids, options, 'something');
  const none = { removed: 0, unknown: ids };
  const { removed, unknown } = await withQueue(options, none, async ({ store, remove: removeSealed }) => {
    const missing = await unknownIds(store, ids);
    const found = await countQueue(store, chosen);
    const [first = `${found}`] = ids;
    const what = found === 1 ? 'one delivery' : `${found} deliveries`;
    if (found > 0) await requireConfirmation(`remove ${what} from the queue`, first, options.yes);
    return { removed: await removeDeliveries(store, removeSealed, chosen, tellDone), unknown: missing };
  });
  const text =
    removed === 0
      ? NOTHING_LIKE_THAT
      : `${count(removed)} removed. What was being delivered in this moment may still arrive.`;
  tell(options, { removed }, text, unknown);
}

function tellDone(done: number): void {
  tellProgress(`${done} deliveries`);
}

/** @throws SealgateError `queue.unknown`, once the rest is told: a script that names what is not there has to hear of it */
function tell({ json }: Options, value: object, text: string, unknown: readonly string[]): void {
  if (json === true) process.stdout.write(`${jsonText(value)}\n`);
  else if (text !== NOTHING_LIKE_THAT || unknown.length === 0) process.stdout.write(`${text}\n`);
  const [first] = unknown;
  if (first !== undefined) throw notThere(first);
}

function notThere(id: string): SealgateError {
  return new SealgateError({
    code: 'queue.unknown',
    duration: 'permanent',
    publicText: `Nothing with the id ${printable(id)} is in the queue: “sealgate queue list” shows what is, and “sealgate trace” what became of a mail.`,
  });
}

async function withQueue<T>({ config }: Options, none: T, act: (queue: QueueRows) => Promise<T>): Promise<T> {
  return withQueueRows(await readConfig(configPath(config)), none, act);
}

function unusable(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.arguments', duration: 'permanent', publicText });
}
