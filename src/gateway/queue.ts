import { prepareMailServer } from '../connections/mail-server.ts';
import type { KeySources } from '../hsm/key-sources.ts';
import { createKeyring } from '../hsm/keyring.ts';
import { Secret } from '../log/secret.ts';
import { Deliverer } from '../queue/deliverer.ts';
import { DurableQueue } from '../queue/durable-queue.ts';
import { type OwnIdentity, OwnKey } from '../queue/own-key.ts';
import { OwnMails } from '../queue/own-mail.ts';
import type { Courier } from '../queue/ports.ts';
import { SmtpCourier } from '../queue/smtp-courier.ts';
import { SpoolFolder } from '../queue/spool-folder.ts';
import { spoolReferences } from '../queue/spool-references.ts';
import { Principal } from '../sasl/principal.ts';
import { openQueueStore } from '../store/queue-migrations.ts';
import { holdAlone } from '../store/sole-holder.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { tellLeftBehind } from './left-behind.ts';
import type { Opening } from './opening.ts';

/** What the gateway keeps and delivers by itself. */
export type OwnQueue = {
  /** Of `queue.sqlite`: for what is written in one transaction with deliveries. */
  store: SqlStore;
  spool: SpoolFolder;
  queue: DurableQueue;
  ownMails: OwnMails;
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
 * @throws SealgateError `queue.in-use`, `store.unusable`, `queue.spool`, `upstream.ca-file`, those of the keyring
 */
export async function openQueue(
  { config, log, clock, opened }: Opening,
  sources: KeySources,
): Promise<OwnQueue | null> {
  const { queue: settings, stateFolder, hostname } = config;
  if (settings === null) {
    await tellLeftBehind({ config, log });
    return null;
  }
  const identity = ownIdentity({ config, log, clock }, settings, sources);
  const server = await prepareMailServer(serverOf(settings.server));
  const store = opened.keep(await openQueueStore(stateFolder));
  opened.keep(holdAlone(stateFolder));
  const spool = await SpoolFolder.open(stateFolder, new OwnKey(identity));
  const ownMails = new OwnMails({ identity, hostname, days: settings.days, clock, log });
  const { login, password, connections } = settings.server;
  const smtp = new SmtpCourier({
    ...{ server, hostname, clock },
    login: login === null || password === null ? null : { kind: 'password', name: login, password: octetsOf(password) },
  });
  let append: Courier | null = null;
  let deliverer: Deliverer | null = null;
  const queue = new DurableQueue({ store, spool, clock, log, wake: () => deliverer?.wake() });
  return {
    ...{ store, spool, queue, ownMails },
    appendBy(courier) {
      append = courier;
    },
    async start() {
      const { removed, orphans } = await spool.sweep(await spoolReferences(store), clock());
      if (removed > 0) log.write({ event: 'queue.swept', level: 'info', files: removed });
      if (orphans > 0) log.write({ event: 'queue.orphans', level: 'warn', files: orphans });
      const running = new Deliverer({
        ...{ store, spool, queue, ownMails, hostname, clock, log, server: settings.server.host },
        courier: ({ kind }) => (kind === 'smtp' ? smtp : append),
        atOnce: { smtp: connections, append: APPENDS_AT_ONCE },
      });
      opened.keep({
        async close() {
          // What is under way ends because the couriers do; what is not written down by then is tried again.
          const stopped = running.stop();
          await Promise.all([smtp.close(), append?.close()]);
          await stopped;
        },
      });
      deliverer = running;
      running.wake();
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

function serverOf(server: NonNullable<Opening['config']['queue']>['server']) {
  const { host, port, tls, allowPlaintext, ca, serverName } = server;
  return {
    ...{ host, port, tls, allowPlaintext },
    ...(ca === null ? {} : { caFile: ca }),
    ...(serverName === null ? {} : { serverName }),
  };
}

/** One character an octet, as credentials carry it. */
function octetsOf(password: Secret): Secret {
  return new Secret(Buffer.from(password.reveal(), 'utf8').toString('latin1'));
}
