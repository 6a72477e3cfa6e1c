import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CertificateRegister } from '../../../src/directory/register.ts';
import type { CertificateSearch } from '../../../src/directory/search.ts';
import { SqlDirectory } from '../../../src/directory/sql-directory.ts';
import { silentLog } from '../../../src/log/log.ts';
import { openPostgresql } from '../../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../../src/store/postgresql-migrations.ts';
import { openSqlite, type SqlStore, sql } from '../../../src/store/sqlite.ts';
import { postgresql } from '../../support/services/postgresql.ts';
import type { Benchmark, Contender, RoundSize, Sample } from '../benchmark.ts';
import { addressOf, certificates, fill } from './million.ts';

const SIZES: Readonly<Record<RoundSize, number>> = { quick: 50_000, full: 1_000_000 };
const LOOKUPS = 2_000;
const HARVESTS = 200;
const RECIPIENTS = 1_000;

/** The directory with a million certificates (50,000 with --quick): look-ups one after the other, by chance. */
export function directoryLookups(): Benchmark {
  return {
    name: 'directory',
    unit: 'look-up',
    about:
      'a directory with 1,000,000 certificates (50,000 with --quick) is asked for one address after the other; then it learns, and is searched',
    contenders: [contender('SQLite', 'ours', sqlite), contender('PostgreSQL', 'ours', onPostgresql)],
    rounds: 3,
  };
}

/** `numberOn`: new rows get numbers after those that were given. */
type Opened = { store: SqlStore; numberOn(): Promise<void>; stop(): Promise<void> };

async function sqlite(): Promise<Opened> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-bench-'));
  const store = await openSqlite(join(folder, 'directory.sqlite'));
  const stop = async () => {
    await store.close();
    await rm(folder, { recursive: true, force: true });
  };
  return { store, numberOn: () => Promise.resolve(), stop };
}

async function onPostgresql(): Promise<Opened> {
  const server = await postgresql();
  const place = { host: server.socket, port: server.port, database: await server.database(), user: 'test' };
  const store = await openPostgresql(
    { ...place, password: null, tls: null, connections: 8, timeoutSeconds: 60 },
    postgresqlMigrations,
  );
  const stop = async () => {
    await store.close();
    await server.stop();
  };
  const numberOn = async () => {
    for (const table of ['certificate', 'known_address']) {
      await server.run(
        `SELECT setval(pg_get_serial_sequence('${table}', 'id'), (SELECT max(id) FROM ${table}))`,
        place.database,
      );
    }
  };
  return { store, numberOn, stop };
}

function contender(name: string, role: Contender['role'], open: () => Promise<Opened>): Contender {
  return {
    name,
    role,
    async start() {
      const { store, numberOn, stop } = await open();
      let filled = 0;
      let round = 0;
      let fillRate = 0;
      return {
        async run(size) {
          // The first round is a warm-up, and small.
          if (filled < SIZES[size]) {
            const began = performance.now();
            const before = filled;
            filled = SIZES[size];
            await fill(store, before, filled);
            await numberOn();
            await store.query(sql`ANALYZE`);
            fillRate = (filled - before) / ((performance.now() - began) / 1_000);
          }
          return { ...(await measured(store, filled, round++)), cpuSeconds: null };
        },
        stop,
      } satisfies Awaited<ReturnType<Contender['start']>>;

      async function measured(of: SqlStore, count: number, n: number): Promise<Sample> {
        const clock = () => new Date('2026-06-02T00:00:00Z');
        const directory = new SqlDirectory({ store: of, clock, log: silentLog });
        const register = new CertificateRegister({ store: of, clock });
        const any = () => Math.floor(Math.random() * count);
        const began = performance.now();
        const hits = await times(LOOKUPS, async () => {
          if ((await directory.find(addressOf(any()))).length !== 1) throw new Error('it is not found');
        });
        const seconds = (performance.now() - began) / 1_000;
        const misses = await times(LOOKUPS, async () => void (await directory.find(`x${addressOf(any())}`)));
        // As the recipients of one mail are that come in one packet: all of them at once.
        const mails = await times(5, async () => {
          const found = await Promise.all(
            Array.from({ length: RECIPIENTS }, () => directory.find(addressOf(any()))),
          );
          if (found.some((one) => one.length !== 1)) throw new Error('one is not found');
        });
        const make = certificates();
        const learnt = await times(HARVESTS, async (i) => {
          const person = 50_000_000 + n * HARVESTS + i;
          const certificate = make(person);
          await directory.harvest({
            ...{ address: addressOf(person), certificate, trust: 'verified' },
            ...{ capabilities: [], signedAt: null },
          });
        });
        const search = async (wanted: CertificateSearch) =>
          median(await times(5, async () => void (await register.search(wanted, 50)))) / 1_000;
        const person = addressOf(any()).slice(0, 9);
        return {
          units: LOOKUPS,
          seconds,
          cpuSeconds: null,
          figures: {
            'look-up, median, us': median(hits),
            'look-up, 99 of 100, us': at(hits, 0.99),
            'look-up in vain, median, us': median(misses),
            '1,000 recipients of a mail at once, median, ms': median(mails) / 1_000,
            'learning one, median, us': median(learnt),
            'search by domain, ms': await search({ domain: 'd00007.example' }),
            'search by serial number, ms': await search({ serial: '0102' }),
            'search by a part of the address, ms': await search({ address: person.slice(1) }),
            'search by a part of the name, ms': await search({ subject: person.slice(1) }),
            'filling, certificates a second': fillRate,
          },
        };
      }
    },
  };
}

/** Microseconds of each, one after the other. */
async function times(count: number, run: (i: number) => Promise<void>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await run(i);
    all.push((performance.now() - began) * 1_000);
  }
  return all.sort((one, other) => one - other);
}

function median(sorted: readonly number[]): number {
  return at(sorted, 0.5);
}

function at(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
