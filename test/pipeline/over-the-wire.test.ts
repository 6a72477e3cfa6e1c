import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Spool } from '../../src/octets/source.ts';
import { type OutboundParts, outboundStory } from '../../src/pipeline/outbound.ts';
import { watchedSpool } from '../reading/support/watched-spool.ts';
import type { FakeOptions } from '../smtp-in/support/fake-upstream.ts';
import { loggedIn, QUEUED, type TestGateway, testGateway } from '../smtp-in/support/gateway.ts';
import { type Person, Town } from './support/people.ts';
import {
  away,
  FakeDelivered,
  FakeDirectory,
  FakeHolding,
  FakeKeyring,
  FakeLog,
  rule,
} from './support/ports.ts';

/** The story on real connections: a client, the gateway's session, and an upstream that answers by script. */

const [ALICE, BOB, CAROL, DAVE] = ['alice', 'bob', 'carol', 'dave'].map((name) => `${name}@example.org`) as [
  string,
  string,
  string,
  string,
];
const KEEPS_450 = '450 4.2.0 greylisted\r\n';

let town: Town;
let alice: Person;
let bob: Person;
beforeAll(async () => {
  town = await Town.found();
  [alice, bob] = await Promise.all([town.person(ALICE), town.person(BOB)]);
});
afterAll(() => town?.end());

let delivered: FakeDelivered;
let log: FakeLog;
let gateway: TestGateway | null = null;
beforeEach(() => {
  delivered = new FakeDelivered();
  log = new FakeLog();
});
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

async function start(fake: FakeOptions, changes: Partial<OutboundParts> = {}): Promise<TestGateway> {
  const story = outboundStory({
    ...{ keyring: new FakeKeyring([alice, bob]), directory: new FakeDirectory().knows(bob), delivered },
    ...{ rules: [rule()], clock: () => new Date(), log, ...changes },
  });
  gateway = await testGateway(fake, { story });
  return gateway;
}

const MESSAGE = [
  `From: ${ALICE}`,
  `To: ${BOB}, ${CAROL}`,
  'Subject: keys',
  '',
  'the boathouse key',
  '.',
  '',
].join('\r\n');

/** One client, one mail; the reply to its end of data. */
async function send(
  { port }: TestGateway,
  to: readonly string[],
  message: string | Buffer = MESSAGE,
): Promise<string | null> {
  const client = await loggedIn(port);
  try {
    await client.ask(`MAIL FROM:<${ALICE}>`);
    for (const address of to) await client.ask(`RCPT TO:<${address}>`);
    await client.ask('DATA');
    client.send(message);
    return await client.reply();
  } finally {
    client.socket.destroy();
  }
}

function served({ upstream }: TestGateway): string[] {
  return upstream.accepted.flatMap(({ to }) => to.map((line) => /<(.*)>/.exec(line)?.[1] ?? '')).sort();
}

/** A reply for each end of data, then the usual one. */
function ends(...acts: readonly (string | { close: true })[]): FakeOptions {
  const left = [...acts];
  return { script: { END: () => left.shift() ?? '250 2.0.0 upstream queued as 4711\r\n' } };
}

const ACCEPTS = '250 2.0.0 upstream queued as 1\r\n';

describe('several variants on one connection', () => {
  it('reach each recipient once; the client gets the upstream’s own last reply', async () => {
    const started = await start({});
    expect(await send(started, [BOB, CAROL, DAVE])).toMatch(QUEUED);
    expect(served(started)).toEqual([BOB, CAROL, DAVE]);
    expect(started.upstream.accepted).toHaveLength(2);
    expect(started.upstream.connections).toBe(1);
  });

  it('the second refused for now: the retry on a new connection brings the rest only', async () => {
    const started = await start(ends(ACCEPTS, KEEPS_450));
    const reply = await send(started, [BOB, CAROL, DAVE]);
    expect(reply).toMatch(
      /^451 4\.2\.0 Sent to bob@example\.org, but not to carol@example\.org, dave@example\.org: .*\(mail \w{20}\)$/,
    );
    expect(served(started)).toEqual([BOB]);
    expect(await send(started, [BOB, CAROL, DAVE])).toMatch(/^250 /);
    expect(served(started)).toEqual([BOB, CAROL, DAVE]);
  });

  it('the connection lost in between: 451, and the retry brings the rest only', async () => {
    const started = await start(ends(ACCEPTS, { close: true }));
    expect(await send(started, [BOB, CAROL])).toMatch(
      /^451 4\.4\.2 Sent to bob@example\.org, but not confirmed for carol@example\.org: /,
    );
    expect(await send(started, [BOB, CAROL])).toMatch(/^250 /);
    expect(served(started)).toEqual([BOB, CAROL]);
  });

  it('a recipient accepted at first and refused in the second transaction: 554 with the facts', async () => {
    let asked = 0;
    const started = await start({
      script: {
        'RCPT TO:<CAROL': () => (asked++ === 0 ? '250 2.1.5 ok\r\n' : '550 5.1.1 no such user\r\n'),
      },
    });
    expect(await send(started, [BOB, CAROL])).toMatch(
      /^554 5\.1\.1 Sent to bob@example\.org, but not to carol@example\.org: the mail server said 550 5\.1\.1 no such user\. /,
    );
    expect(served(started)).toEqual([BOB]);
  });

  it('the encrypted one too large for the upstream: nobody gets anything', async () => {
    // Eight-bit octets become base64 to be signed, which still fits, and base64 again when they are encrypted.
    const started = await start({ keywords: ['SIZE 1000000', '8BITMIME', 'AUTH PLAIN'] });
    const text = Buffer.alloc(70, 0xe4).toString('latin1').concat('\r\n').repeat(8_300);
    const message = Buffer.from(
      MESSAGE.replace(
        '\r\n\r\n',
        '\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n',
      ).replace('the boathouse key\r\n', text),
      'latin1',
    );
    expect(await send(started, [CAROL], message)).toMatch(/^250 /);
    expect(await send(started, [BOB, CAROL], message)).toMatch(/^552 5\.3\.4 /);
    expect(served(started)).toEqual([CAROL]);
  });

  it('a client that goes away after its end of data: everybody gets it all the same', async () => {
    const { promise: hold, resolve: release } = Promise.withResolvers<void>();
    const started = await start({});
    const has = delivered.has.bind(delivered);
    delivered.has = async (key) => {
      await hold;
      return has(key);
    };
    const client = await loggedIn(started.port);
    await client.ask(`MAIL FROM:<${ALICE}>`);
    for (const address of [BOB, CAROL]) await client.ask(`RCPT TO:<${address}>`);
    await client.ask('DATA');
    client.send(MESSAGE);
    client.socket.end();
    client.socket.destroy();
    release();
    await expect.poll(() => served(started)).toEqual([BOB, CAROL]);
  });
});

describe('a refusal of the story', () => {
  it('reaches the client with its mail id, the upstream gets no message, and the session goes on', async () => {
    const started = await start({});
    const client = await loggedIn(started.port);
    for (const [message, reply] of [
      [MESSAGE.replace(ALICE, BOB), /^550 5\.7\.1 .*alice@example\.org.*bob@example\.org.* \(mail \w{20}\)$/],
      [MESSAGE, /^250 /],
    ] as const) {
      await client.ask(`MAIL FROM:<${ALICE}>`);
      await client.ask(`RCPT TO:<${BOB}>`);
      await client.ask('DATA');
      client.send(message);
      expect(await client.reply()).toMatch(reply);
    }
    client.socket.destroy();
    expect(served(started)).toEqual([BOB]);
    const [refused] = log.named('mail.refused');
    expect(started.events).toContainEqual(
      expect.objectContaining({ event: 'smtp.refused', mail: refused?.mail, code: 550 }),
    );
  });
});

describe('a mail that waits', () => {
  it('leaves nothing behind on the connection: the next mail goes its way', async () => {
    const holding = new FakeHolding();
    const waits = rule({ encrypt: 'require', withoutCertificate: 'hold' });
    const running = await start({}, { rules: [waits], holding });
    const client = await loggedIn(running.port);
    for (const [to, reply] of [
      [CAROL, /^250 2\.0\.0 Kept until it can be encrypted to carol@example\.org\./],
      [BOB, /^250 (?!.*Kept)/],
      [DAVE, /^250 2\.0\.0 Kept/],
    ] as const) {
      await client.ask(`MAIL FROM:<${ALICE}>`);
      await client.ask(`RCPT TO:<${to}>`);
      await client.ask('DATA');
      client.send(MESSAGE);
      expect(await client.reply()).toMatch(reply);
    }
    await client.ask('QUIT');
    client.socket.destroy();
    expect(served(running)).toEqual([BOB]);
    expect(holding.waiting).toEqual([CAROL, DAVE]);
  });
});

describe('a client that is lost while its long mail is worked on', () => {
  const LONG = MESSAGE.replace('key\r\n', `key\r\n${'a line of an attachment\r\n'.repeat(40_000)}`);

  /** The story stops where `at` is reached; then the client goes, then the story goes on, and the key is there or not. */
  async function lost(at: 'signing' | 'encrypting', key: 'there' | 'away'): Promise<TestGateway> {
    const [reception, working] = [watchedSpool(), watchedSpool()];
    const [reached, goesOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const stop = (here: typeof at): Promise<void> => {
      if (here === at) reached.resolve();
      return here === at ? goesOn.promise : Promise.resolve();
    };
    const { signing } = alice;
    const keyring = new FakeKeyring([
      {
        ...alice,
        signing: {
          ...signing,
          async sign(scheme, data) {
            await stop('signing');
            if (key === 'away') throw away();
            return signing.sign(scheme, data);
          },
        },
      },
      bob,
    ]);
    const spool: Spool = {
      begin() {
        const writer = working.spool.begin();
        return { ...writer, write: (octets) => stop('encrypting').then(() => writer.write(octets)) };
      },
    };
    const story = outboundStory({
      ...{ keyring, directory: new FakeDirectory().knows(bob), delivered, rules: [rule()], log, spool },
      clock: () => new Date(),
    });
    gateway = await testGateway({}, { story, spool: reception.spool });
    const client = await loggedIn(gateway.port);
    await client.ask(`MAIL FROM:<${ALICE}>`);
    for (const address of [BOB, CAROL]) await client.ask(`RCPT TO:<${address}>`);
    await client.ask('DATA');
    client.send(LONG);
    await reached.promise;
    expect(reception.left()).toBe(1);
    client.socket.destroy();
    await new Promise((resolve) => client.socket.once('close', resolve));
    goesOn.resolve();
    // A session that works is waited for.
    await gateway.close();
    expect([reception.left(), working.left()]).toEqual([0, 0]);
    return gateway;
  }

  it.each(['signing', 'encrypting'] as const)(
    'while %s: all of it is sent, and no spool stays',
    async (at) => {
      const started = await lost(at, 'there');
      expect(served(started)).toEqual([BOB, CAROL]);
      const [encrypted, signed] = started.upstream.accepted.map(({ octets }) => octets);
      const inside = await town.decrypted(encrypted as Buffer, bob);
      expect(await town.verified(Buffer.from(inside, 'latin1'))).toContain('a line of an attachment');
      expect(await town.verified(signed as Buffer)).toContain('the boathouse key');
    },
  );

  it('and whose key goes away then: nobody gets anything, and no spool stays', async () => {
    expect(served(await lost('signing', 'away'))).toEqual([]);
  });
});
