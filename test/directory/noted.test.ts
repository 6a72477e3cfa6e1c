import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SqlDirectory } from '../../src/directory/sql-directory.ts';
import { silentLog } from '../../src/log/log.ts';
import { openSqlite, type SqlStore } from '../../src/store/sqlite.ts';
import { BOB, correspondent, finding } from './correspondent.ts';

/** Whoever waits for a certificate is told of those that are used from now on, and of no others. */

let folder: string;
let store: SqlStore;
let noted: string[];
let time: Date;
let directory: SqlDirectory;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-directory-'));
  store = await openSqlite(join(folder, 'directory.sqlite'));
  noted = [];
  time = new Date('2026-06-01T00:00:00Z');
  directory = new SqlDirectory({
    ...{ store, clock: () => time, log: silentLog, noted: (address: string) => void noted.push(address) },
  });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

test('a certificate that is used from now on is told, once', async () => {
  const certificate = correspondent();
  await directory.harvest(finding(certificate));
  expect(noted).toEqual([BOB]);
  expect(await directory.find(BOB)).toHaveLength(1);
  time = new Date('2026-06-02T00:00:00Z');
  await directory.harvest(finding(certificate));
  await directory.harvest(finding(certificate, { trust: 'harvested' }));
  expect(noted).toEqual([BOB]);
});

test('so is one that is trusted more than before', async () => {
  const certificate = correspondent();
  await directory.harvest(finding(certificate, { trust: 'harvested' }));
  await directory.harvest(finding(certificate));
  expect(noted).toEqual([BOB, BOB]);
});

test('one that waits for a person is not', async () => {
  await directory.harvest(finding(correspondent()));
  const other = correspondent({ issuer: 'Other CA', key: 'other', serial: 2 });
  await directory.harvest(finding(other, { trust: 'harvested' }));
  expect(noted).toEqual([BOB]);
});
