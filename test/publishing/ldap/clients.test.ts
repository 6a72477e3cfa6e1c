import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ldapTls } from '../../../src/directory/ldap/connection.ts';
import { LdapSource } from '../../../src/directory/ldap/ldap-source.ts';
import { runToEnd } from '../../../src/evaluation/run-program.ts';
import { now } from '../../pki/make-certificate.ts';
import { firstFile } from '../../support/require-command.ts';
import { own, peopleOf } from '../people.ts';
import { BASE, served } from './served.ts';

/** Programs of others, and this gateway as the client of another one. */

const ALICE = 'alice@example.org';
const alice = own({ address: ALICE, cn: 'Alice Able' });
const signing = own({ address: ALICE, cn: 'Alice Able', use: 'sign', serial: 2 });
const star = own({ address: '*@example.org', cn: 'Star (all)' });
const people = peopleOf([alice, signing, star, own({ address: 'bob@example.org', cn: 'Bob Bold' })]);

let starttls: Awaited<ReturnType<typeof served>>;
let implicit: Awaited<ReturnType<typeof served>>;
beforeAll(async () => {
  [starttls, implicit] = await Promise.all([
    served(people, { allowPlaintext: false }),
    served(people, { tls: 'implicit' }),
  ]);
});
afterAll(() => Promise.all([starttls?.stop(), implicit?.stop()]));

describe('OpenLDAP', () => {
  async function program(name: 'ldapsearch' | 'ldapmodify', args: string[], input = '') {
    const file = firstFile([`/usr/bin/${name}`], name, 'ldap-utils');
    const where = ['-x', '-H', `ldap://127.0.0.1:${starttls.port}`];
    return await runToEnd(file, [...where, ...args], { input, env: { LDAPTLS_CACERT: starttls.caFile } });
  }
  const found = async (...args: string[]) => {
    const { stdout, failure } = await program('ldapsearch', [
      '-LLL',
      '-o',
      'ldif-wrap=no',
      '-b',
      BASE,
      ...args,
    ]);
    return { text: stdout.toString(), failure };
  };

  test('finds a person with her certificates by StartTLS', async () => {
    const { text, failure } = await found('-ZZ', `(mail=${ALICE})`, 'cn', 'userCertificate');
    expect(failure).toBeNull();
    expect(text).toContain(`dn: mail=${ALICE},${BASE}\ncn: Alice Able\n`);
    for (const { certificate } of [alice, signing]) {
      expect(text).toContain(`userCertificate;binary:: ${certificate.der.toString('base64')}`);
    }
    expect(text.match(/^dn:/gm)).toHaveLength(1);
  });

  test('by implicit TLS, with what means something in a filter', async () => {
    const file = firstFile(['/usr/bin/ldapsearch'], 'ldapsearch', 'ldap-utils');
    const { stdout } = await runToEnd(
      file,
      ['-x', '-LLL', '-H', `ldaps://127.0.0.1:${implicit.port}`, '-b', BASE, '(cn=*\\28all\\29)', 'mail'],
      { env: { LDAPTLS_CACERT: implicit.caFile } },
    );
    expect(stdout.toString().trim()).toBe(`dn: mail=*@example.org,${BASE}\nmail: *@example.org`);
  });

  test.each<[string, string[], number]>([
    ['everybody', ['-ZZ', '(mail=*)'], 11],
    ['without TLS', [`(mail=${ALICE})`], 13],
    ['by pages that must be', ['-ZZ', '-E', '!pr=10/noprompt', `(mail=${ALICE})`], 12],
    ['with a password', ['-ZZ', '-D', 'cn=admin', '-w', 'secret', `(mail=${ALICE})`], 49],
    ['elsewhere', ['-ZZ', '-b', 'dc=elsewhere', `(mail=${ALICE})`], 32],
  ])('finds nothing %s', async (_, args, code) => {
    expect(await found(...args)).toEqual({ text: '', failure: `exit code ${code}` });
  });

  test('finds by pages that may be', async () => {
    expect((await found('-ZZ', '-E', 'pr=10/noprompt', '(cn=alice*)', 'mail')).text).toContain(
      `mail: ${ALICE}`,
    );
  });

  test('changes nothing', async () => {
    const ldif = `dn: mail=${ALICE},${BASE}\nchangetype: modify\nreplace: cn\ncn: Eve\n`;
    expect((await program('ldapmodify', ['-ZZ'], ldif)).failure).toBe('exit code 53');
    expect(
      (await program('ldapmodify', ['-ZZ'], `dn: mail=${ALICE},${BASE}\nchangetype: delete\n`)).failure,
    ).toBe('exit code 53');
  });
});

test('ldap3 of Python reads what the server says of itself, and finds', async () => {
  firstFile(['/usr/lib/python3/dist-packages/ldap3/__init__.py'], 'ldap3', 'python3-ldap3');
  const python = firstFile(['/usr/bin/python3'], 'python3', 'python3');
  const script = join(import.meta.dirname, 'ask.py');
  const { stdout, stderr, failure } = await runToEnd(python, [
    ...[script, String(starttls.port), starttls.caFile, BASE, '(|(cn=*bold*)(mail=bob*))'],
  ]);
  expect([failure, stderr]).toEqual([null, '']);
  expect(JSON.parse(stdout.toString())).toEqual({
    contexts: [BASE],
    versions: ['3'],
    found: [{ dn: `mail=bob@example.org,${BASE}`, cn: ['Bob Bold'], certificates: [expect.any(String)] }],
    result: 'success',
    who: null,
  });
});

describe('another gateway, asking for recipients', () => {
  const source = (tls: 'implicit' | 'starttls', filter = '(mail={address})') => {
    const { port, caFile } = tls === 'implicit' ? implicit : starttls;
    return new LdapSource(
      {
        ...{ name: 'example', servers: [{ name: 'x', host: 'localhost', port, tls }], allowPlaintext: false },
        ...{ tls: ldapTls(readFileSync(caFile, 'utf8'), null), bind: null, base: BASE, scope: 'sub', filter },
        ...{ attributes: ['userCertificate', 'userSMIMECertificate'], domains: null, trust: 'directory' },
        ...{ optional: false, timeoutMs: 5_000 },
      },
      () => now,
      false,
    );
  };
  const ask = async (one: LdapSource, exact: string) => {
    const key = { exact, folded: exact, domain: 'example.org' };
    const { certificates } = await one.ask(key, new AbortController().signal);
    return certificates.map(({ fingerprint }) => fingerprint);
  };

  test.each(['implicit', 'starttls'] as const)('gets what can be encrypted to (%s)', async (tls) => {
    expect(await ask(source(tls), ALICE)).toEqual([alice.certificate.fingerprint]);
    expect(await ask(source(tls), '*@example.org')).toEqual([star.certificate.fingerprint]);
    expect(await ask(source(tls), 'nobody@example.org')).toEqual([]);
  });

  test('takes a question that names nobody for an outage, and never for an answer', async () => {
    const everybody = source('implicit', '(|(objectClass={localPart})(mail=*@{domain}))');
    await expect(ask(everybody, ALICE)).rejects.toMatchObject({ duration: 'temporary' });
  });
});
