import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { type Slapd, slapd } from '../support/services/slapd.ts';

/** A gateway that knows nobody's certificate, and an LDAP server that knows Bob's. */
describe('a correspondent whose certificate is only in LDAP', () => {
  let server: Started<Slapd>;
  let system: MailSystem;

  beforeAll(async () => {
    server = await slapd();
    const place = {
      ...{ base: server.base, ca: server.caFile, timeoutSeconds: 5 },
      servers: [`ldap://localhost:${server.port}`],
    };
    const board = { source: 'people', logins: '(&(mail={login})(employeeType=board))' };
    const when = { login: [addressOf('carol'), addressOf('bob')], loginGroup: ['board'] };
    system = await startMailSystem({
      users: ['alice', 'bob', 'carol'],
      directory: {
        sources: [{ ...place, kind: 'ldap', name: 'partner' }],
        groupSources: [{ ...place, name: 'people' }],
        lookup: { failures: 1, retrySeconds: 3_600 },
      },
      sections: {
        policy: {
          groups: [{ name: 'board', ldap: board }],
          rules: [
            { name: 'board', when, sign: 'require', encrypt: 'never' },
            { name: 'all', sign: 'require', encrypt: 'if-possible' },
          ],
        },
      },
    });
    const der = new X509Certificate(await readFile(system.user('bob').identity.certificateFile)).raw;
    await server.restart([
      { rdn: 'cn=Bob', mail: addressOf('bob'), values: { 'userCertificate;binary': [der] } },
      { rdn: 'cn=Carol', mail: addressOf('carol'), values: { employeeType: [Buffer.from('board')] } },
    ]);
  });
  afterAll(async () => {
    await system?.stop();
    await server?.stop();
  });

  const sealgate = async (...args: string[]) =>
    (
      await runProgram(process.execPath, ['src/main.ts', ...args, '--config', system.configFile])
    ).stdout.toString();

  it('gets encrypted mail, the first one too', async () => {
    await system.send('alice', { to: addressOf('bob'), subject: 'one', text: 'the boathouse key' });
    const [mail] = system.taken();
    expect(mail?.octets.toString()).not.toContain('boathouse');
    const opened = await opensslOpen(system, mail?.octets ?? Buffer.alloc(0), 'bob');
    expect(opened.toString()).toContain('the boathouse key');
  });

  it('gets what a rule says for senders whom the directory has in a group', async () => {
    const to = addressOf('bob');
    await system.send('carol', { to, subject: 'of the board', text: 'the minutes' });
    await system.send('bob', { to, subject: 'of somebody else', text: 'the boathouse key' });
    const [ofBoard, ofBob] = system.taken().map(({ octets }) => octets.toString());
    expect(ofBoard).toContain('the minutes');
    expect(ofBob).not.toContain('boathouse');
  });

  it('is said by “cert lookup”, “cert why” and “policy explain” to be known from there', async () => {
    expect(JSON.parse(await sealgate('cert', 'lookup', addressOf('bob'), '--json'))).toMatchObject({
      address: addressOf('bob'),
      sources: [
        {
          ...{ name: 'partner', kind: 'ldap', outcome: 'answered', milliseconds: expect.any(Number) },
          ...{ certificates: [{ fingerprint: expect.any(String) }], breaker: { open: false } },
        },
      ],
    });
    expect(await sealgate('cert', 'why', addressOf('bob'))).toMatch(
      /verified, current, from an LDAP directory \(now in partner\)/,
    );
    const explained = await sealgate(
      'policy',
      'explain',
      '--from',
      addressOf('alice'),
      '--to',
      addressOf('bob'),
    );
    expect(explained).toMatch(/from an LDAP directory \(now in "?partner"?\)/);
  });

  it('gets it while the server hangs too, and whom nobody knows waits instead of getting it open', async () => {
    server.pause();
    try {
      const to = addressOf('carol');
      await expect(system.send('alice', { to, subject: 'two', text: 'open' })).rejects.toThrow(/4\.4\.3/);
      await system.send('alice', { to: addressOf('bob'), subject: 'three', text: 'the boathouse key' });
    } finally {
      server.resume();
    }
    const sent = system.taken();
    expect(sent).toHaveLength(1);
    expect(sent[0]?.octets.toString()).not.toContain('boathouse');
    const said = await sealgate('cert', 'lookup', addressOf('carol'));
    expect(said).toMatch(/partner \(ldap\): 0 found/);
    expect(said).toMatch(/given it up for a while since .*no answer in time/);
  });
});
