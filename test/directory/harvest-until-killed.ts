import { SqlDirectory } from '../../src/directory/sql-directory.ts';
import { silentLog } from '../../src/log/log.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { correspondent, finding } from './correspondent.ts';

/** Run by crash.test.ts: harvests for ever and says each address once it is stored. */
const [file = '', start = '0'] = process.argv.slice(2);
const store = await openSqlite(file);
const directory = new SqlDirectory({ store, clock: () => new Date(), log: silentLog });
const certificate = correspondent();
for (let i = Number(start); ; i++) {
  const addresses = [0, 1, 2, 3].map((lane) => `person${i}-${lane}@partner.example`);
  await Promise.all(addresses.map((address) => directory.harvest(finding(certificate, { address }))));
  process.stdout.write(`${addresses.join('\n')}\n`);
}
