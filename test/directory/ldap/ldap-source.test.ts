import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { AddressKey } from '../../../src/directory/address-key.ts';
import { ldapTls } from '../../../src/directory/ldap/connection.ts';
import { type LdapSettings, LdapSource } from '../../../src/directory/ldap/ldap-source.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { limits } from '../../../src/limits.ts';
import { Secret } from '../../../src/log/secret.ts';
import type { Started } from '../../support/services/disposable.ts';
import { type LdapEntry, type Slapd, slapd } from '../../support/services/slapd.ts';
import { correspondent } from '../correspondent.ts';
import { certsOnly } from './certs-only.ts';

const NOW = new Date('2026-06-01T00:00:00Z');
const certificateOf = (mailbox: string, serial = 1) =>
  correspondent({ mailboxes: [mailbox], key: mailbox, serial });
const BOB = 'bob@partner.example';
const bob = certificateOf(BOB);
const carol = certificateOf('carol@partner.example');
const star = certificateOf('"*"@partner.example');
const expired = correspondent({ serial: 9, notAfter: new Date('2026-05-01T00:00:00Z') });

const ENTRIES: readonly LdapEntry[] = [
  { rdn: 'cn=Bob', mail: BOB, values: { 'userCertificate;binary': [bob.der, expired.der] } },
  {
    rdn: 'cn=Carol',
    mail: 'carol@partner.example',
    values: { userSMIMECertificate: [certsOnly([carol, bob]), Buffer.from('rubbish')] },
  },
  // Somebody else's certificate under his own address.
  { rdn: 'cn=Eve', mail: 'eve@partner.example', values: { 'userCertificate;binary': [bob.der] } },
  { rdn: 'cn=Star', mail: '"*"@partner.example', values: { 'userCertificate;binary': [star.der] } },
  {
    rdn: 'cn=Jose',
    lines: [
      ...['objectClass: inetOrgPerson', 'cn: Jose', `sn:: ${Buffer.from('josé').toString('base64')}`],
      `userCertificate;binary:: ${bob.der.toString('base64')}`,
    ],
  },
  { rdn: 'cn=Nobody', mail: 'nobody@partner.example' },
  {
    rdn: 'cn=Elsewhere',
    lines: [
      'objectClass: referral',
      'objectClass: extensibleObject',
      'cn: Elsewhere',
      'ref: ldap://127.0.0.1:1/dc=x',
    ],
  },
];

let server: Started<Slapd>;
beforeAll(async () => {
  server = await slapd({ entries: ENTRIES });
});
afterAll(() => server?.stop());

const open: { close(): void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

type Changed = Partial<LdapSettings> & { place?: Pick<Slapd, 'port' | 'securePort' | 'caFile'> };

function source({ place = server, ...changed }: Changed = {}): LdapSource {
  const tls = ldapTls(readFileSync(place.caFile, 'utf8'), null);
  const settings: LdapSettings = {
    ...{ name: 'partner', servers: [secure(place)], tls, allowPlaintext: false, bind: null },
    ...{ base: server.base, scope: 'sub', filter: '(mail={address})', domains: null },
    attributes: ['userCertificate', 'userSMIMECertificate'],
    ...{ trust: 'directory', optional: false, timeoutMs: 5_000, ...changed },
  };
  return new LdapSource(settings, () => NOW, false);
}

const at = (port: number, tls: 'implicit' | 'starttls' | 'none', host = 'localhost') => ({
  ...{ host, port, tls, name: `${host}:${port}` },
});
const secure = (place: { securePort: number }) => at(place.securePort, 'implicit');

/** Not by `addressKey`: whatever comes as an address must be harmless. */
function key(exact: string): AddressKey {
  return { exact, folded: exact.toLowerCase(), domain: exact.slice(exact.lastIndexOf('@') + 1) };
}

const ask = (one: LdapSource, address: string) => one.ask(key(address), new AbortController().signal);
async function found(one: LdapSource, address = BOB): Promise<string[]> {
  return (await ask(one, address)).certificates.map(({ fingerprint }) => fingerprint);
}
const why = async (one: LdapSource, address = BOB): Promise<string> =>
  ask(one, address).then(
    () => 'answered',
    (error: { reason?: string }) => String(error.reason),
  );

describe('an LDAP directory gives', () => {
  test.each(['implicit', 'starttls'] as const)('the certificate of an address, by TLS (%s)', async (tls) => {
    const port = tls === 'implicit' ? server.securePort : server.port;
    expect(await found(source({ servers: [at(port, tls)] }))).toEqual([bob.fingerprint]);
  });

  test('those of userSMIMECertificate, and none that names another address or is rubbish', async () => {
    const answer = await ask(source(), 'carol@partner.example');
    expect(answer.certificates.map(({ fingerprint }) => fingerprint)).toEqual([carol.fingerprint]);
    expect(answer.passedOver).toBe(2);
  });

  test('nobody the certificate of somebody else', async () => {
    expect(await ask(source(), 'eve@partner.example')).toMatchObject({
      ...{ certificates: [], passedOver: 1, remark: 'The certificate there does not name this address.' },
    });
  });

  test.each(['nobody@partner.example', 'unknown@partner.example'])(
    'nothing for %s, which is an answer',
    async (who) => {
      expect(await ask(source(), who)).toMatchObject({ certificates: [], passedOver: 0 });
    },
  );

  test('only what the attributes, the base and the scope say', async () => {
    expect(await found(source({ attributes: ['userSMIMECertificate;binary'] }))).toEqual([]);
    expect(await found(source({ attributes: ['userCertificate;binary'] }))).toEqual([bob.fingerprint]);
    expect(await found(source({ scope: 'base' }))).toEqual([]);
    expect(await found(source({ base: `cn=Bob,${server.base}`, scope: 'base' }))).toEqual([bob.fingerprint]);
    expect(await found(source({ filter: '(&(cn={localPart})(mail=*@{domain}))' }))).toEqual([
      bob.fingerprint,
    ]);
  });

  test('nothing for domains that it is not for', () => {
    const limited = source({ domains: ['partner.example', '*.sub.example'] });
    const covered = [
      'partner.example',
      'a.sub.example',
      'sub.example',
      'x.partner.example',
      'evilpartner.example',
    ];
    expect(covered.map((domain) => limited.covers(key(`x@${domain}`)))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('an address is never more than a value', () => {
  test.each([
    '*)(uid=*',
    '*',
    '*@partner.example',
    'bob*@partner.example',
    'x)(|(mail=*@partner.example',
    'x@partner.example)(objectClass=*',
    '\\2a@partner.example',
    '\\28)\\00@partner.example',
    'x\0@partner.example',
    '!(mail=x)@partner.example',
    '(|(mail=*))',
    '{domain}@partner.example',
    '$&@partner.example',
    ' x@partner.example)',
  ])('%j finds nobody', async (attack) => {
    const answers = await Promise.all(
      [
        '(mail={address})',
        '(|(mail={address})(cn={localPart}))',
        '(&(objectClass=*)(!(!(mail={address}))))',
      ].map((filter) => ask(source({ filter }), attack)),
    );
    expect(answers).toEqual(answers.map(() => ({ certificates: [], chain: [], passedOver: 0 })));
  });

  test('and one with an asterisk finds its owner alone', async () => {
    expect(await found(source(), '"*"@partner.example')).toEqual([star.fingerprint]);
  });

  test('nor is one in another script written otherwise', async () => {
    const one = source({ filter: '(sn={localPart})' });
    expect((await ask(one, 'josé@partner.example')).passedOver).toBe(1);
    expect((await ask(one, 'jose@partner.example')).passedOver).toBe(0);
  });
});

describe('whom it lets in', () => {
  test('shows in the answer: with the password, without, and with a wrong one', async () => {
    await using place = await slapd({ entries: ENTRIES, loginNeeded: true, tlsNeeded: true });
    const bind = (password: string) => ({ dn: place.admin.dn, password: new Secret(password) });
    const starttls = [at(place.port, 'starttls')];
    expect(await found(source({ place, servers: starttls, bind: bind(place.admin.password) }))).toEqual([
      bob.fingerprint,
    ]);
    // Without rights its base is not there, which is no answer about Bob.
    expect(await why(source({ place }))).toMatch(/result 32/);
    const wrong = source({ place, bind: bind('open-the-door') });
    const error = await ask(wrong, BOB).catch((one: unknown) => one);
    expect(inspect(error)).toMatch(/result 49/);
    expect(inspect([error, wrong], { depth: 9, showHidden: true })).not.toContain('open-the-door');
  });
});

describe('TLS', () => {
  test('is with the server that is meant, by an authority that is believed', async () => {
    expect(await why(source({ servers: [at(server.securePort, 'implicit', '127.0.0.1')] }))).toMatch(
      /does not match/,
    );
    const others = ldapTls(null, null);
    expect(await why(source({ tls: others }))).toMatch(/self-signed|unable to verify/i);
    expect(await why(source({ tls: others, servers: [at(server.port, 'starttls')] }))).toMatch(
      /self-signed/i,
    );
    const ca = readFileSync(server.caFile, 'utf8');
    const named = source({
      tls: ldapTls(ca, 'localhost'),
      servers: [at(server.securePort, 'implicit', '127.0.0.1')],
    });
    expect(await found(named)).toEqual([bob.fingerprint]);
  });

  test('is not left out where a server does not do StartTLS, and no password goes to it', async () => {
    const heard: Buffer[] = [];
    // extendedResp with protocolError (2).
    const port = await speaking((socket) => {
      socket.on('data', (piece: Buffer) => {
        heard.push(piece);
        socket.write(Buffer.from('300c02010178070a010204000400', 'hex'));
      });
    });
    const one = source({
      servers: [at(port, 'starttls')],
      bind: { dn: 'cn=x', password: new Secret('open-the-door') },
    });
    expect(await why(one)).toMatch(/does not do StartTLS/);
    expect(Buffer.concat(heard).toString('latin1')).not.toMatch(/open-the-door|cn=x/);
  });

  test('takes nothing that came before it in the clear', async () => {
    const agreed = Buffer.from('300c02010178070a010004000400', 'hex');
    // The beginning of an entry that would swallow what the server says later.
    const port = await speaking((socket) =>
      socket.on('data', () => socket.write(Buffer.concat([agreed, Buffer.from('3084000001', 'hex')]))),
    );
    expect(await why(source({ servers: [at(port, 'starttls')] }))).toMatch(/more came than the answer/);
  });

  test('may be missing on this machine alone', async () => {
    expect(await found(source({ servers: [at(server.port, 'none')] }))).toEqual([bob.fingerprint]);
  });
});

describe('a server that is away', () => {
  test('leaves the next one its time, and is not asked first any more', async () => {
    let calls = 0;
    const silent = await speaking(() => {
      calls++;
    });
    const one = source({ servers: [at(silent, 'implicit'), secure(server)], timeoutMs: 2_000 });
    expect(await found(one)).toEqual([bob.fingerprint]);
    expect(await found(one)).toEqual([bob.fingerprint]);
    expect(calls).toBe(1);
  });

  test('is no answer, whether it ends, hangs or refuses', async () => {
    await using place = await slapd({ entries: ENTRIES });
    const one = source({ place });
    expect(await found(one)).toEqual([bob.fingerprint]);
    place.pause();
    expect(await why(source({ place, timeoutMs: 300 }))).toMatch(/no answer in time/);
    place.resume();
    expect(await found(one)).toEqual([bob.fingerprint]);
    await place.end();
    expect(await why(one)).toMatch(/ECONNREFUSED/);
    await place.restart(ENTRIES);
    expect(await found(one)).toEqual([bob.fingerprint]);
  });

  test('is given up when nobody waits any more', async () => {
    await using place = await slapd();
    place.pause();
    const one = source({ place, timeoutMs: 60_000 });
    await expect(one.ask(key(BOB), AbortSignal.timeout(50))).rejects.toMatchObject({
      duration: 'temporary',
    });
  });
});

describe('what is no answer', () => {
  test('more entries than one address can have', async () => {
    const many = Array.from({ length: limits.ldap.entries + 1 }, (_, i) => ({ rdn: `cn=P${i}`, mail: BOB }));
    await using place = await slapd({ entries: many });
    expect(await why(source({ place }))).toMatch(/too many entries/);
  });

  const message = (length: number) => {
    const header = Buffer.from([0x30, 0x84, 0, 0, 0, 0]);
    header.writeUInt32BE(length, 2);
    return header;
  };
  // searchResRef without anything in it: seven octets each.
  const crumbs = Buffer.alloc(7 * 9_000, Buffer.from('30050201017300', 'hex'));
  // The last one says so little that its rest is waited for.
  test.each<[string, Buffer, RegExp, number?]>([
    ['a message that is too long', message(limits.ldap.messageOctets + 1), /too long/],
    ['thousands of messages at once', crumbs, /too many messages/],
    ['a length that is none', Buffer.from('3080', 'hex'), /no LDAP message/],
    ['something else', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /no LDAP message/],
    ['a message that is nonsense inside', Buffer.from('3003020101', 'hex'), /in time|closed|message/, 400],
  ])('%s', async (_, octets, text, timeoutMs = 5_000) => {
    const port = await speaking((socket) => socket.on('data', () => socket.write(octets)));
    expect(await why(source({ servers: [at(port, 'none')], timeoutMs }))).toMatch(text);
  });

  test('silence octet by octet', async () => {
    const port = await speaking((socket) => {
      const drip = setInterval(() => socket.write(Buffer.from([0x30])), 5);
      socket.on('close', () => clearInterval(drip));
    });
    expect(await why(source({ servers: [at(port, 'none')], timeoutMs: 200 }))).toMatch(/message|in time/);
  });

  test('a port where nobody listens', async () => {
    expect(await why(source({ servers: [at(await freePort(), 'implicit')] }))).toMatch(/ECONNREFUSED/);
  });
});

async function speaking(to: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const listening: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    to(socket);
  });
  open.push({
    close() {
      listening.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('a port');
  return address.port;
}
