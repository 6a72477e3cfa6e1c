import { createServer, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type MailServerOptions, prepareMailServer } from '../../src/connections/mail-server.ts';
import { newMailId } from '../../src/ids.ts';
import type { Archive } from '../../src/imap-out/archive.ts';
import { ArchiveCourier } from '../../src/imap-out/archive-courier.ts';
import { Secret } from '../../src/log/secret.ts';
import { FakeLog } from '../pipeline/support/ports.ts';
import { services } from '../support/services/services.ts';
import { MASTER, mailsIn, masterSettings } from './support/master-dovecot.ts';
import { type Conversation, scriptedServer, takeLogin } from './support/scripted-server.ts';

const ALICE = { login: 'alice@example.test', password: 'a' };
const BOB = { login: 'bob', password: 'b' };

let dovecot: Awaited<ReturnType<typeof services.dovecot>>;
let pki: Awaited<ReturnType<typeof services.pki>>;
let removeMaster: () => Promise<void>;
let now: Date;
let log: FakeLog;
beforeAll(async () => {
  const { settings, remove } = await masterSettings();
  removeMaster = remove;
  pki = await services.pki();
  dovecot = await services.dovecot({ users: [ALICE, BOB], tls: await pki.issueServer(), further: settings });
});
afterAll(async () => {
  await dovecot.stop();
  await pki.stop();
  await removeMaster();
});
beforeEach(() => {
  now = new Date('2026-03-01T12:00:00Z');
  log = new FakeLog();
});

/** An archive on the Dovecot of this test. */
async function archive(
  changes: Partial<Omit<Archive, 'server'>> = {},
  server: Partial<MailServerOptions> = {},
): Promise<Archive> {
  return {
    ...{ name: 'sent', login: '{login}*gateway', password: new Secret(MASTER.password), mailbox: 'Sent' },
    ...changes,
    server: await prepareMailServer({ host: '127.0.0.1', port: dovecot.imapPort, tls: 'none', ...server }),
  };
}

function courierOf(...archives: Archive[]): ArchiveCourier & AsyncDisposable {
  const courier = new ArchiveCourier({ archives, clock: () => now, log });
  return Object.assign(courier, { [Symbol.asyncDispose]: () => courier.close() });
}

function copy(text: string, login = ALICE.login, name = 'sent') {
  return {
    ...{ id: newMailId(), purpose: 'archive' as const, requireTls: 'no' as const },
    way: { kind: 'append' as const, archive: name, login },
    envelope: {
      ...{ reversePath: null, mailParameters: [] },
      recipients: [{ mailbox: { localPart: name, domain: '' }, parameters: [] }],
    },
    octets: Buffer.from(`Subject: ${text}\r\n\r\n.${text}\r\n`),
  };
}

/** How often Dovecot says so from now on. */
async function counted(words: string): Promise<() => Promise<number>> {
  const all = async () => (await dovecot.logText()).split(words).length - 1;
  const before = await all();
  return async () => (await all()) - before;
}

describe('copies in the mailboxes of a Dovecot with a master user', () => {
  it('go to each sender, whole and read, several on one connection', async () => {
    await using courier = courierOf(await archive());
    const large = {
      ...copy('large'),
      octets: Buffer.from(`Subject: large\r\n\r\n${'x'.repeat(998)}\r\n`.repeat(900)),
    };
    const logins = await counted('Master user logging in');
    for (const mail of [copy('one'), large, copy('of bob', BOB.login)]) {
      expect(await courier.deliver(mail)).toMatchObject([{ kind: 'delivered', reply: null }]);
    }
    await expect.poll(logins).toBe(2);
    const ofAlice = await mailsIn(dovecot.imapPort, ALICE, 'Sent');
    expect(ofAlice.map(({ source }) => source.equals(large.octets) || source.toString())).toEqual([
      'Subject: one\r\n\r\n.one\r\n',
      true,
    ]);
    expect(ofAlice.every(({ flags }) => flags.includes('\\Seen'))).toBe(true);
    const ofBob = await mailsIn(dovecot.imapPort, BOB, 'Sent');
    expect(ofBob.map(({ source }) => source.toString())).toEqual(['Subject: of bob\r\n\r\n.of bob\r\n']);
    expect(log.named('archive.stored').map(({ uid }) => uid)).toEqual([
      expect.stringMatching(/^\d+ 1$/),
      expect.stringMatching(/^\d+ 2$/),
      expect.stringMatching(/^\d+ 1$/),
    ]);
  });

  it('make the mailbox that is not there, under a name that is not ASCII', async () => {
    await using courier = courierOf(await archive({ mailbox: 'Ausgang & geprüft.2026' }));
    expect(await courier.deliver(copy('one'))).toMatchObject([{ kind: 'delivered' }]);
    expect(await courier.deliver(copy('two'))).toMatchObject([{ kind: 'delivered' }]);
    expect(await mailsIn(dovecot.imapPort, ALICE, 'Ausgang & geprüft.2026')).toHaveLength(2);
  });

  it.each(['starttls', 'implicit'] as const)(
    'go by TLS (%s), and not to a server that is another',
    async (tls) => {
      const { imapPort, imapsPort } = dovecot;
      const port = tls === 'implicit' ? (imapsPort ?? 0) : imapPort;
      const secure = { port, tls, serverName: 'localhost' };
      const good = await archive({}, { ...secure, caFile: pki.ca.certificateFile });
      await using courier = courierOf(good);
      const onlyByTls = { ...copy('by TLS'), requireTls: 'upstream' as const };
      expect(await courier.deliver(onlyByTls)).toMatchObject([{ kind: 'delivered' }]);
      await using strict = courierOf(await archive({}, secure));
      const [refused] = await strict.deliver(copy('never'));
      expect(refused).toMatchObject({ kind: 'later', because: expect.stringContaining('certificate') });
    },
  );

  it('wait where the login is refused, and the server is left in peace meanwhile', async () => {
    const tried = await counted('Password mismatch');
    await using courier = courierOf(await archive({ password: new Secret('wrong') }));
    for (let i = 0; i < 3; i++) {
      expect(await courier.deliver(copy('one'))).toMatchObject([
        { kind: 'later', because: expect.stringMatching(/it refuses the login: .+/) },
      ]);
    }
    await expect.poll(tried).toBe(1);
    now = new Date(now.getTime() + 31_000);
    await courier.deliver(copy('one'));
    await expect.poll(tried).toBe(2);
  });

  it('never go to somebody else', async () => {
    await using courier = courierOf(await archive(), await archive({ name: 'other', login: 'nobody' }));
    expect(await courier.deliver(copy('stolen', 'bob*alice'))).toMatchObject([{ kind: 'failed' }]);
    expect(await courier.deliver(copy('stolen', BOB.login, 'gone'))).toMatchObject([
      { kind: 'later', because: 'there is no archive gone in the configuration any more' },
    ]);
    expect(await courier.deliver({ ...copy('x'), requireTls: 'onward' })).toMatchObject([{ kind: 'later' }]);
    const found = await mailsIn(dovecot.imapPort, BOB, 'Sent');
    expect(found.some(({ source }) => source.includes('stolen'))).toBe(false);
  });

  it('wait while the server is away, and go when it is back', async () => {
    const sockets = new Set<Socket>();
    const gate = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.end();
    });
    await new Promise<void>((resolve) => gate.listen(0, '127.0.0.1', resolve));
    const address = gate.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await using closing = courierOf(await archive({}, { port }));
    expect(await closing.deliver(copy('one'))).toMatchObject([
      { kind: 'later', because: expect.stringContaining('it closed the connection') },
    ]);
    await new Promise((resolve) => gate.close(resolve));
    now = new Date(now.getTime() + 31_000);
    expect(await closing.deliver(copy('one'))).toMatchObject([
      { kind: 'later', because: expect.stringContaining('ECONNREFUSED') },
    ]);
  });
});

describe('a courier', () => {
  /** Takes messages until the client goes. */
  const takeAll = async (conversation: Conversation): Promise<void> => {
    await takeLogin(conversation);
    for (let line = await conversation.line(); line !== ''; line = await conversation.line()) {
      const [tag = '', verb = ''] = line.split(' ');
      const [, size] = /\{(\d+)\}$/.exec(line) ?? [];
      if (size !== undefined) {
        conversation.say('+ go on\r\n');
        await conversation.octets(Number(size) + 2);
      }
      conversation.say(`${tag} OK ${verb} done\r\n`);
    }
  };

  it('notices that a server has closed a connection meanwhile', async () => {
    await using scripted = await scriptedServer(async (conversation, connection) => {
      if (connection > 0) return takeAll(conversation);
      await takeLogin(conversation);
      await conversation.line();
      conversation.say('+ go on\r\n');
      await conversation.octets(copy('one').octets.length + 2);
      conversation.say('A2 OK stored\r\n* BYE idle for too long\r\n');
      conversation.end();
    });
    await using courier = courierOf({ ...(await archive()), server: scripted.server });
    expect(await courier.deliver(copy('one'))).toMatchObject([{ kind: 'delivered' }]);
    expect(await courier.deliver(copy('two'))).toMatchObject([{ kind: 'delivered' }]);
    expect(scripted.heard).toHaveLength(2);
  });

  it('does not mind a clock that is set back', async () => {
    let refusals = 1;
    await using scripted = await scriptedServer(async (conversation) => {
      if (refusals-- > 0) conversation.say('* BYE busy\r\n');
      else await takeAll(conversation);
    });
    await using courier = courierOf({ ...(await archive()), server: scripted.server });
    expect(await courier.deliver(copy('one'))).toMatchObject([{ kind: 'later' }]);
    now = new Date(now.getTime() - 24 * 3_600_000);
    expect(await courier.deliver(copy('one'))).toMatchObject([{ kind: 'delivered' }]);
  });

  it('leaves an archive in peace that did not take a message, whoever sends the next one', async () => {
    await using scripted = await scriptedServer(async (conversation) => {
      await takeLogin(conversation);
      await conversation.line();
      conversation.say('* BYE busy\x1b[31m\r\n');
    });
    await using courier = courierOf({ ...(await archive()), server: scripted.server });
    const { way } = copy('one');
    expect(courier.away(way)).toBeNull();
    const later = [{ kind: 'later', because: expect.stringMatching(/it said BYE busy\?\[31m$/) }];
    expect(await courier.deliver(copy('one'))).toMatchObject(later);
    expect(courier.away(way)).toMatch(/it said BYE busy/);
    expect(await courier.deliver(copy('two', BOB.login))).toMatchObject(later);
    expect(scripted.heard).toHaveLength(1);
    expect(courier.away({ ...way, archive: 'gone' })).toMatch(/there is no archive gone/);
    expect(courier.away({ kind: 'smtp' })).toBeNull();
    now = new Date(now.getTime() + 31_000);
    expect(courier.away(way)).toBeNull();
  });

  it('that is closed does not wait for a login that is not answered', async () => {
    const asked = Promise.withResolvers<void>();
    await using scripted = await scriptedServer(async ({ say, line }) => {
      say('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n');
      await line();
      asked.resolve();
    });
    const courier = courierOf({ ...(await archive()), server: scripted.server });
    const delivered = courier.deliver(copy('one'));
    await asked.promise;
    await courier.close();
    expect(await delivered).toMatchObject([{ kind: 'later' }]);
  });

  it('that is closed says goodbye to what waits, and takes nothing any more', async () => {
    await using scripted = await scriptedServer(takeAll);
    const courier = courierOf({ ...(await archive()), server: scripted.server });
    await courier.deliver(copy('one'));
    await courier.close();
    await expect.poll(() => scripted.heard[0]).toMatch(/A\d+ LOGOUT\r\n$/);
    expect(await courier.deliver(copy('two'))).toMatchObject([
      { kind: 'later', because: 'the gateway is being stopped' },
    ]);
  });
});
