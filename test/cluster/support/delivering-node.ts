import { SealedRows } from '../../../src/cluster/sealed-rows.ts';
import type { Event } from '../../../src/log/events.ts';
import { Deliverer } from '../../../src/queue/deliverer.ts';
import { DurableQueue } from '../../../src/queue/durable-queue.ts';
import { OwnMails } from '../../../src/queue/own-mail.ts';
import type { Courier, Due, DueWork } from '../../../src/queue/ports.ts';
import { clusterTables } from '../../../src/store/cluster-tables.ts';
import { openPostgresql, type PostgresqlStore } from '../../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../../src/store/postgresql-migrations.ts';
import type { SqlStore } from '../../../src/store/sql-store.ts';
import { newOwnKey, ownIdentity } from '../../queue/support/own-identity.ts';

/** The part of a node that keeps mail and delivers it, in this process, on the rows that all nodes share. */
export type DeliveringNode = {
  queue: DurableQueue;
  deliverer: Deliverer;
  store: PostgresqlStore;
  events: Event[];
  stop(): Promise<void>;
};

export type DeliveringOptions = {
  /** How the database is reached. */
  place: { host: string; port: number; database: string };
  courier: Courier;
  /** Absent: it hears of what it has written itself, and looks at all rows every so often. */
  work?: DueWork;
  connections?: number;
  /** How long the database may take; by default so long that it is no limit. */
  timeoutSeconds?: number;
  atOnce?: number;
  most?: number;
  clock?: () => Date;
  /** What the queue asks the database by. */
  through?: (rows: SqlStore) => SqlStore;
};

const identity = ownIdentity([newOwnKey()]);
const key = { seal: async (octets: Buffer) => octets, open: async (octets: Buffer) => octets };

export async function deliveringNode(options: DeliveringOptions): Promise<DeliveringNode> {
  const { place, courier, connections = 4, timeoutSeconds = 30, atOnce = 4, most = 20 } = options;
  const events: Event[] = [];
  const store = await openPostgresql(
    { ...place, user: 'test', password: null, tls: null, connections, timeoutSeconds },
    postgresqlMigrations,
    clusterTables(),
  );
  const { work = new SweptWork(), clock = () => new Date(), through = (rows) => rows } = options;
  const rows = through(store.snapshots());
  const log = { write: (event: Event) => void events.push(event) };
  const spool = new SealedRows(rows, key);
  const queue = new DurableQueue({ store: rows, spool, router: null, work, clock, log });
  const deliverer = new Deliverer({
    ...{ store: rows, spool, queue, clock, log, hostname: 'gateway.test', server: 'mail.test' },
    ownMails: new OwnMails({ identity, hostname: 'gateway.test', days: 5, clock, log }),
    ...{ courier: () => courier, work, most, alone: false, atOnce: () => atOnce },
  });
  return {
    ...{ queue, deliverer, store, events },
    async stop() {
      await deliverer.stop();
      await store.close();
    },
  };
}

/** As without Redis, with a sweep that does not take ten seconds. */
class SweptWork implements DueWork {
  #told: ((due: readonly Due[] | null) => void) | null = null;
  #timer: NodeJS.Timeout | null = null;

  watch(told: (due: readonly Due[] | null) => void): void {
    this.#told = told;
    this.#timer = setInterval(() => told(null), 200);
    told(null);
  }

  written(due: readonly Due[]): void {
    this.#told?.(due);
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#told = null;
  }
}
