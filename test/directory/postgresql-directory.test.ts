import { afterAll, beforeAll, describe } from 'vitest';
import { openPostgresql } from '../../src/store/postgresql.ts';
import { postgresqlMigrations } from '../../src/store/postgresql-migrations.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Postgresql, postgresql } from '../support/services/postgresql.ts';
import { directorySuite } from './directory-suite.ts';
import { remoteSuite } from './remote/remote-suite.ts';

let server: Started<Postgresql>;
beforeAll(async () => {
  server = await postgresql();
});
afterAll(async () => {
  await server.stop();
});

const make = async () => {
  const database = await server.database();
  const { socket: host, port } = server;
  const place = { host, port, database, user: 'test', password: null, tls: null };
  return {
    open: () => openPostgresql({ ...place, connections: 8, timeoutSeconds: 10 }, postgresqlMigrations),
    remove: () => Promise.resolve(),
  };
};

describe('the directory', () => directorySuite(make));
describe('remote sources', () => remoteSuite(make));
