import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCa } from '../../pki/make-certificate.ts';
import { bareThunderbird } from '../../support/services/thunderbird/thunderbird.ts';
import { own, peopleOf } from '../people.ts';
import { BASE, served } from './served.ts';

const ALICE = 'alice@example.org';

test('Thunderbird finds people, completes addresses and fetches certificates', async () => {
  const alice = own({ address: ALICE, cn: 'Alice Able' });
  const others = [own({ address: 'bob@example.org', cn: 'Bob Bold' })];
  const server = await served(peopleOf([alice, ...others]), { tls: 'none' });
  const book = {
    uri: `ldap://localhost:${server.port}/${BASE}??sub?(objectclass=*)`,
    ...{ description: 'gateway', filename: 'gateway.sqlite', dirType: 0, maxHits: 100 },
  };
  const settings = Object.entries(book).map(([name, value]) => [`ldap_2.servers.gateway.${name}`, value]);
  const thunderbird = await bareThunderbird({
    ...Object.fromEntries(settings),
    'ldap_2.autoComplete.useDirectory': true,
    'ldap_2.autoComplete.directoryServer': 'ldap_2.servers.gateway',
  });
  try {
    const { control } = thunderbird;
    await control.run(await readFile(join(import.meta.dirname, 'in-thunderbird.js'), 'utf8'));
    const ask = (name: string, ...given: readonly string[]) =>
      control.run(
        'const [name, ...rest] = args; return await window.gateway[name](...rest);',
        name,
        ...given,
      );
    expect(await ask('found', 'able')).toEqual([['Alice Able', ALICE]]);
    expect(await ask('completed', 'ali')).toEqual([`Alice Able <${ALICE}>`]);
    expect(await ask('completed', 'al')).toEqual([]);
    const authority = makeCa('Example CA').der.toString('base64');
    expect(await ask('fetched', ALICE, authority)).toEqual([
      alice.certificate.fingerprint.toUpperCase().replace(/..(?=.)/g, '$&:'),
    ]);
  } finally {
    await thunderbird.stop();
    await server.stop();
  }
});
