import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { type AtRestMailboxes, atRestMailboxes } from '../../src/store/at-rest-mailboxes.ts';
import { migrations } from '../../src/store/migrations.ts';
import { openSqlite, type SqlStore, sql } from '../../src/store/sqlite.ts';

/** In which mailboxes mail lies that the gateway has encrypted, with a real database. */

const ALICE = 'alice@example.org';
const BOB = 'bob@example.org';

let folder: string;
let store: SqlStore;
let mailboxes: AtRestMailboxes;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-at-rest-'));
  store = await openSqlite(join(folder, 'state.sqlite'), migrations);
  mailboxes = atRestMailboxes(store);
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

it('each login has its own; a rename takes along what is below, and nothing else', async () => {
  for (const name of ['Work', 'Work/Old', 'Workshop']) await mailboxes.add(ALICE, name);
  await mailboxes.add(BOB, 'Work/His');
  await mailboxes.renamed(ALICE, 'Work', 'Home', '/');
  const has = (login: string, ...names: string[]) =>
    Promise.all(names.map((name) => mailboxes.has(login, name)));
  expect(await has(ALICE, 'Home', 'Home/Old', 'Work', 'Workshop')).toEqual([true, true, true, true]);
  expect(await has(ALICE, 'Homeshop', 'Home/His', 'Work/His')).toEqual([false, false, false]);
  const logins = [ALICE, BOB, 'carol@example.org'];
  expect(await Promise.all(logins.map((login) => mailboxes.any(login)))).toEqual([true, true, false]);
  expect(await has(BOB, 'Work/His', 'Home/His', 'Work')).toEqual([true, false, false]);
});

it('attack: names that a client makes up do not fill the disk', async () => {
  const { mailboxesOfLogin } = limits.atRest;
  await store.query(
    sql`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${mailboxesOfLogin})
        INSERT INTO at_rest_mailbox SELECT ${ALICE}, 'box ' || i FROM n`,
  );
  await mailboxes.add(ALICE, 'one more');
  await mailboxes.renamed(ALICE, 'box 1', 'another name', '/');
  await mailboxes.add(ALICE, 'box 2');
  await mailboxes.add(BOB, 'x'.repeat(2_000));
  await mailboxes.add(BOB, 'his');
  const [row] = await store.query(sql`SELECT count(*) AS n FROM at_rest_mailbox WHERE login = ${ALICE}`);
  expect(Number(row?.n)).toBe(mailboxesOfLogin);
  expect(await mailboxes.has(BOB, 'his')).toBe(true);
  expect(await mailboxes.has(BOB, 'x'.repeat(2_000))).toBe(false);
});
