import type { KeySources } from '../hsm/key-sources.ts';
import { createKeyring } from '../hsm/keyring.ts';
import { limits } from '../limits.ts';
import type { StoreAndForward } from '../pipeline/ports.ts';
import { Deliverer } from '../queue/deliverer.ts';
import { DurableQueue } from '../queue/durable-queue.ts';
import type { OwnIdentity } from '../queue/own-key.ts';
import { OwnMails } from '../queue/own-mail.ts';
import type { Courier, SealedSpool } from '../queue/ports.ts';
import { DiskRoom, ENDLESS } from '../queue/room.ts';
import { SubmittedMail } from '../queue/store-and-forward.ts';
import { Principal } from '../sasl/principal.ts';
import type { SqlStore } from '../store/sql-store.ts';
import type { Cluster } from './cluster.ts';
import { tellLeftBehind } from './left-behind.ts';
import type { Opening } from './opening.ts';
import { openQueueState } from './queue-state.ts';
import { openRouting } from './routing.ts';

/** What the gateway keeps and delivers by itself. */
export type OwnQueue = {
  /** Where the rows of the queue are: for what is written in one transaction with deliveries. */
  store: SqlStore;
  spool: SealedSpool;
  queue: DurableQueue;
  ownMails: OwnMails;
  /** Takes mail in the place of a mail server. */
  storeAndForward: StoreAndForward;
  /** Takes what goes into mailboxes; without one that waits. To be said before `start`. */
  appendBy(courier: Courier): void;
  /** Begins to deliver, after files without a row were swept (spool-references.ts). */
  start(): Promise<void>;
};

/** Mailboxes of archives that are written to at once. */
const APPENDS_AT_ONCE = 2;

/**
 * null: the configuration has none.
 *
 * @throws SealgateError `store.unusable`, `queue.spool`, `upstream.ca-file`, those of the keyring
 */
export async function openQueue(
  opening: Opening,
  sources: KeySources,
  cluster: Cluster | null = null,
): Promise<OwnQueue | null> {
  const { config, log, opened } = opening;
  const { queue: settings, hostname } = config;
  await tellLeftBehind({ config, log }, cluster);
  if (settings === null) return null;
  const identity = ownIdentity(opening, settings, sources);
  const state = await openQueueState(opening, cluster, identity);
  const { store, spool, work, alone, clock, holder } = state;
  const { routes, courier: smtp } = await openRouting(settings, { config, clock, opened });
  const ownMails = new OwnMails({ identity, hostname, days: settings.days, clock, log });
  let append: Courier | null = null;
  const { reserve, days } = settings;
  // What several nodes share is on no disk of this one.
  const room = alone ? DiskRoom.ofSpool(config.stateFolder, { reserve, log }) : ENDLESS;
  const queue = new DurableQueue({ store, spool, router: routes, work, clock, log });
  const server = settings.server?.host ?? hostname;
  const storeAndForward = new SubmittedMail({
    ...{ store, queue, ownMails, room, hostname, server, days, clock },
  });
  return {
    ...{ store, spool, queue, ownMails, storeAndForward },
    appendBy(courier) {
      append = courier;
    },
    async start() {
      await state.sweep();
      const running = new Deliverer({
        ...{ store, spool, queue, ownMails, hostname, clock, log, server },
        courier: ({ kind }) => (kind === 'smtp' ? smtp : append),
        work,
        atOnce: ({ kind, destination }) => (kind === 'smtp' ? routes.atOnce(destination) : APPENDS_AT_ONCE),
        most: limits.queue.underWay,
        alone,
        ...(holder === null ? {} : { holder }),
      });
      opened.keep({
        async close() {
          // What is under way ends because the couriers do; what is not written down by then is tried again.
          const stopped = running.stop();
          await Promise.all([smtp.close(), append?.close()]);
          await stopped;
        },
      });
      running.start();
    },
  };
}

/** A keyring with one holder, the gateway: no login is ever in it, and it has nobody else's keys. */
function ownIdentity(
  { config, log, clock }: Pick<Opening, 'config' | 'log' | 'clock'>,
  { key, formerKeys, address }: NonNullable<Opening['config']['queue']>,
  sources: KeySources,
): OwnIdentity {
  const principal = Principal.named(config.hostname);
  const keyring = createKeyring({
    principals: [
      {
        login: principal.login,
        addresses: [address],
        keys: [key, ...formerKeys],
        profiles: [{ address, sign: key, encrypt: key }],
      },
    ],
    ...{ loginIsAddress: false, keys: sources, log, clock },
  });
  return { keyring, principal, address };
}
