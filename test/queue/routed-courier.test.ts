import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { DnsAnswer, DnsQuestion } from '../../src/dns/message.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import type { DeliveryOutcome } from '../../src/queue/ports.ts';
import type { TlsLevel } from '../../src/routing/routes.ts';
import {
  A,
  B,
  type GatewayOptions,
  type GatewaySide,
  gatewaySide,
  type MailWorld,
  mailServer,
  mailTo,
  mailWorld,
  policyServer,
  policyText,
} from '../routing/support/mail-world.ts';
import { type FakeOptions, type FakeUpstream, KEYWORDS } from '../smtp-in/support/fake-upstream.ts';

let world: MailWorld;
beforeAll(async () => {
  world = await mailWorld();
});
afterAll(() => world?.stop());

let ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

async function server(host: string, options: Omit<FakeOptions, 'place'> = {}): Promise<FakeUpstream> {
  const fake = await mailServer(world, host, options);
  ends.push(() => fake.close());
  return fake;
}
async function gateway(options: GatewayOptions = {}): Promise<GatewaySide> {
  const side = await gatewaySide(world, options);
  ends.push(() => side.stop());
  return side;
}
const said = (outcomes: readonly DeliveryOutcome[]) =>
  outcomes.map((one) =>
    one.kind === 'delivered'
      ? 'delivered'
      : `${one.kind} ${one.status ?? one.reply?.code ?? '-'}: ${one.because}`,
  );
const WITHOUT_TLS = { keywords: KEYWORDS };
const secured = (fake: FakeUpstream) => fake.commands.filter((line) => line === 'STARTTLS').length;

describe('mail to where DNS says', () => {
  test('goes to the first server; recipients of one domain share a transaction, those of another do not', async () => {
    const [first, second] = [await server(A), await server(B)];
    const { courier } = await gateway();
    const to = ['bob@two.plain.example', 'eve@one.plain.example', 'carol@TWO.plain.example'];
    expect(said(await courier.deliver(mailTo(...to)))).toEqual(['delivered', 'delivered', 'delivered']);
    expect(first.accepted.map((one) => one.to.length)).toEqual([2, 1]);
    expect(second.connections).toBe(0);
  });

  test('goes to the next server where the first is away, or wants nothing for now, and says so of those who are', async () => {
    const second = await server(B);
    const { courier } = await gateway();
    expect(said(await courier.deliver(mailTo('bob@away.plain.example')))).toEqual(['delivered']);
    for (const GREETING of ['421 4.3.2 no\r\n', '554 5.3.2 no\r\n']) {
      const first = await server(A, { script: { GREETING } });
      const { courier: other } = await gateway();
      expect(said(await other.deliver(mailTo('bob@two.plain.example')))).toEqual(['delivered']);
      expect(first.connections).toBe(1);
      await first.close();
    }
    expect(second.accepted).toHaveLength(3);
    const [alone] = said(await courier.deliver(mailTo('bob@alloff.plain.example')));
    expect(alone).toMatch(/^later .*off\.plain\.example \(127\.0\.0\.9:/);
  });

  test('is not taken elsewhere once a server has refused it', async () => {
    const [, second] = [await server(A, { script: { RCPT: '550 5.1.1 no such user\r\n' } }), await server(B)];
    const { courier } = await gateway();
    const [outcome] = await courier.deliver(mailTo('bob@two.plain.example'));
    expect(outcome).toMatchObject({ kind: 'failed', reply: { code: 550 }, server: 'a.plain.example' });
    expect(second.connections).toBe(0);
  });

  test('goes to the next server where the first ends the connection before it has taken anything', async () => {
    const busy = { script: { MAIL: '421 4.3.2 too busy\r\n' } };
    const first = await server(A, busy);
    const second = await server(B);
    const { courier } = await gateway();
    expect(said(await courier.deliver(mailTo('bob@two.plain.example')))).toEqual(['delivered']);
    await second.close();
    const third = await server(B, busy);
    const { courier: other } = await gateway();
    const [outcome] = await other.deliver(mailTo('bob@two.plain.example'));
    expect(outcome).toMatchObject({ kind: 'later', reply: { code: 421 }, server: 'b.plain.example' });
    expect([first.connections, third.connections]).toEqual([2, 1]);
  });

  test('does not wait again and again for a server that was away a moment ago', async () => {
    const { courier, time } = await gateway();
    await courier.deliver(mailTo('bob@alloff.plain.example'));
    expect(courier.away({ kind: 'smtp', destination: 'domain:alloff.plain.example' })).toContain(
      'ECONNREFUSED',
    );
    expect(courier.away({ kind: 'smtp', destination: 'domain:one.plain.example' })).toBeNull();
    time.now = new Date(time.now.getTime() + 6_000);
    const [again] = await courier.deliver(mailTo('bob@alloff.plain.example'));
    expect(again).toMatchObject({ kind: 'later', status: '4.4.1' });
    const fake = await mailServer(world, '127.0.0.9');
    ends.push(() => fake.close());
    time.now = new Date(time.now.getTime() + 6_000);
    expect(said(await courier.deliver(mailTo('bob@alloff.plain.example')))).toEqual(['delivered']);
  });

  test.each([
    ['implicit.plain.example', /^delivered$/],
    ['aliased.plain.example', /^delivered$/],
    ['[127.0.0.2]', /^delivered$/],
    ['null.plain.example', /^failed 5\.1\.10: .*null MX/],
    ['nowhere.plain.example', /^failed 5\.1\.2: there is no domain nowhere\.plain\.example/],
    ['empty.plain.example', /^failed 5\.4\.4: .*no address/],
    ['nohost.plain.example', /^failed 5\.4\.4: nowhere\.plain\.example has no address/],
    ['loop.plain.example', /^failed 5\.4\.6: /],
    ['bogus.example', /^later 4\.4\.3: .*SERVFAIL/],
    ['', /^failed 5\.1\.2: /],
    [`${'a'.repeat(64)}.example`, /^failed 5\.1\.2: there cannot be/],
    // Its lowest octets would be those of another domain.
    ['\u016fne.plain.example\u{1fffe}', /^failed 5\.1\.2: there cannot be/],
  ])('for somebody at %j: %s', async (domain, expected) => {
    await server(A);
    const { courier } = await gateway();
    expect(said(await courier.deliver(mailTo(`bob@${domain}`)))[0]).toMatch(expected);
  });

  test('attack: goes to no inner server that a stranger names', async () => {
    const { courier } = await gateway();
    for (const domain of ['private.plain.example', '[10.9.8.7]', '[IPv6:fe80::1]', '[169.254.169.254]']) {
      expect(said(await courier.deliver(mailTo(`bob@${domain}`)))[0]).toMatch(
        /^failed 5\.4\.4: .*may be called/,
      );
    }
  });

  test('never leaves by a route for everybody where it was opened for own users', async () => {
    const fake = await server(A);
    const { courier } = await gateway();
    const opened = { ...mailTo('bob@one.plain.example'), purpose: 'opened' as const };
    expect(said(await courier.deliver(opened))[0]).toMatch(
      /^later 4\.4\.4: .*no route .* names one\.plain\.example/,
    );
    expect(fake.connections).toBe(0);
  });

  test('waits where the resolver is away', async () => {
    const { courier } = await gateway({ resolverPort: 1 });
    expect(said(await courier.deliver(mailTo('bob@one.plain.example')))[0]).toMatch(
      /^later 4\.4\.3: .*ECONNREFUSED/,
    );
    // Not one mail after the other: the domain is away.
    const place = { kind: 'smtp' as const, destination: 'domain:one.plain.example' };
    expect(courier.away(place)).toContain('ECONNREFUSED');
  });

  test('goes to more domains at once than connections are kept for', async () => {
    const fake = await server(A, WITHOUT_TLS);
    const { courier } = await gateway({ answer: everyName(A) });
    const mails = Array.from({ length: limits.routing.couriers + 5 }, (_, i) => mailTo(`bob@d${i}.example`));
    const outcomes = await Promise.all(mails.map((mail) => courier.deliver(mail)));
    expect(new Set(outcomes.flatMap(said))).toEqual(new Set(['delivered']));
    expect(fake.accepted).toHaveLength(mails.length);
  });

  test('reaches the second server, however many addresses the first has that are away', async () => {
    const fake = await server(B);
    const addresses = Array.from({ length: limits.routing.calls + 2 }, (_, i) => [127, 0, 1, 1 + i]);
    const { courier } = await gateway({
      answer: ({ type, name: asked }) =>
        type === 1 && ['a.plain.example', 'off.plain.example'].includes(asked)
          ? { ...NOTHING, records: addresses.map((address) => Buffer.from(address)) }
          : type === 15
            ? { ...NOTHING, records: ['a', 'off', 'b'].map((host, i) => mx(i, `${host}.plain.example`)) }
            : null,
    });
    expect(said(await courier.deliver(mailTo('bob@two.plain.example')))).toEqual(['delivered']);
    expect(fake.accepted).toHaveLength(1);
  });

  test('is left when the gateway stops', async () => {
    await server(A, { script: { GREETING: '' } });
    const { courier } = await gateway();
    const outcome = courier.deliver(mailTo('bob@one.plain.example'));
    await courier.close();
    expect(said(await outcome)[0]).toMatch(/^later/);
  });

  test('is left when the gateway stops, with all domains of a mail that were not called yet', async () => {
    const GREETING = (_: string, connection: number) =>
      connection === 1 ? '220 a.plain.example ESMTP\r\n' : '';
    const fake = await server(A, { script: { GREETING, END: '' } });
    const { courier } = await gateway();
    const outcome = courier.deliver(mailTo('bob@two.plain.example', 'eve@one.plain.example'));
    await expect.poll(() => fake.commands.includes('DATA')).toBe(true);
    const closed = courier.close();
    for (const socket of fake.open) socket.destroy();
    await closed;
    expect(said(await outcome)).toEqual([
      expect.stringMatching(/^later/),
      'later -: the gateway is being stopped',
    ]);
    expect(fake.connections).toBe(1);
  });
});

describe('TLS as the route asks', () => {
  test.each([
    ['one.plain.example', {}, /^a\.plain\.example \(127\.0\.0\.2:\d+\), TLS, not verified$/],
    ['one.plain.example', WITHOUT_TLS, /^a\.plain\.example .*, without TLS$/],
    ['ee.signed.example', {}, /^mx\.signed\.example .*, TLS, verified by TLSA records$/],
  ])('it is told who has taken it, and how: %s, %o', async (domain, options, by) => {
    await server(A, options);
    const { courier } = await gateway();
    const [outcome] = await courier.deliver(mailTo(`bob@${domain}`));
    expect(outcome).toMatchObject({ kind: 'delivered', by: expect.stringMatching(by) });
  });

  const levels: [TlsLevel, string, Omit<FakeOptions, 'place'>, RegExp][] = [
    ['opportunistic', 'one.plain.example', {}, /^delivered/],
    ['opportunistic', 'one.plain.example', WITHOUT_TLS, /^delivered/],
    ['encrypt', 'one.plain.example', {}, /^delivered/],
    ['encrypt', 'one.plain.example', WITHOUT_TLS, /^later .*does not offer STARTTLS/],
    ['verify', 'bare.signed.example', {}, /^later .*does not match/],
    // The server is in no zone that is signed, and the domain says so under DNSSEC.
    ['verify', 'named.signed.example', {}, /^delivered/],
    ['dane-or-verify', 'named.signed.example', {}, /^delivered/],
    ['dane', 'named.signed.example', {}, /^later 4\.7\.5: .*no TLSA records/],
    ['dane', 'ee.signed.example', {}, /^delivered/],
    ['dane-or-verify', 'ee.signed.example', {}, /^delivered/],
  ];
  test.each(levels)('%s, to %s: %o', async (tls, domain, options, expected) => {
    const fake = await server(A, options);
    const { courier } = await gateway({ tls });
    const [outcome = ''] = said(await courier.deliver(mailTo(`bob@${domain}`)));
    expect(outcome).toMatch(expected);
    const delivered = outcome === 'delivered';
    expect(fake.accepted).toHaveLength(delivered ? 1 : 0);
    if (delivered) expect(secured(fake)).toBe('keywords' in options ? 0 : 1);
  });

  test('a name of the route is believed, whatever DNS says', async () => {
    const fake = await server(A);
    for (const [hosts, expected] of [
      [['*.plain.example'], /^delivered/],
      [[], /^later 4\.7\.5: .*nobody vouches for mx\.other\.example/],
    ] as const) {
      const elsewhere = {
        ...{ records: [Buffer.concat([Buffer.from('000a', 'hex'), name('mx.other.example')])] },
        ...{ isAuthentic: false, timeToLive: 60, exists: true, canonical: 'two.plain.example' },
      };
      // With a name of the route the true answer, and without an answer that leads elsewhere.
      const { courier } = await gateway({
        ...{ tls: 'verify', hosts },
        answer: ({ type, name: asked }) => {
          if (hosts.length > 0) return null;
          if (type === 15) return elsewhere;
          if (type === 1 && asked === 'mx.other.example')
            return { ...elsewhere, records: [Buffer.from([127, 0, 0, 2])] };
          return asked === 'mx.other.example' ? { ...elsewhere, records: [] } : null;
        },
      });
      expect(said(await courier.deliver(mailTo('bob@two.plain.example')))[0]).toMatch(expected);
    }
    expect(fake.accepted).toHaveLength(1);
  });

  test('attack: after a handshake that failed nothing is said without TLS', async () => {
    const fake = await server(A, { script: { STARTTLS: '454 4.7.0 not now\r\n' } });
    const { courier } = await gateway();
    expect(said(await courier.deliver(mailTo('bob@one.plain.example')))[0]).toMatch(/^later .*454/);
    expect(fake.accepted).toEqual([]);
  });

  test('what must leave by TLS leaves to a server that is known to be the right one, or waits', async () => {
    const fake = await server(A, { keywords: [...KEYWORDS, 'STARTTLS', 'REQUIRETLS'] });
    const { courier } = await gateway();
    const protectedMail = (domain: string) => ({ ...mailTo(`bob@${domain}`), requireTls: 'onward' as const });
    expect(said(await courier.deliver(mailTo('bob@ee.signed.example')))).toEqual(['delivered']);
    expect(said(await courier.deliver(protectedMail('ee.signed.example')))).toEqual(['delivered']);
    expect(fake.accepted.at(-1)?.from).toContain('REQUIRETLS');
    for (const domain of ['forged.signed.example', 'wrong.signed.example', 'bare.signed.example']) {
      expect(said(await courier.deliver(protectedMail(domain)))[0]).not.toBe('delivered');
    }
    // A connection of mail that need not be protected is not used for mail that must.
    expect(said(await courier.deliver(mailTo('bob@odd.signed.example')))).toEqual(['delivered']);
    expect(said(await courier.deliver(protectedMail('odd.signed.example')))[0]).toMatch(/^later/);
    expect(fake.accepted).toHaveLength(3);
  });
});

test('mail that must leave by TLS for the whole way is taken to the server that promises that, and comes back where none does', async () => {
  const promising = { keywords: [...KEYWORDS, 'STARTTLS', 'REQUIRETLS'] };
  const [first, second] = [await server(A), await server(B, promising)];
  const { courier } = await gateway({ hosts: ['*.plain.example'] });
  const mail = (domain: string) => ({ ...mailTo(`bob@${domain}`), requireTls: 'onward' as const });
  expect(said(await courier.deliver(mail('two.plain.example')))).toEqual(['delivered']);
  expect(second.accepted[0]?.from).toContain('REQUIRETLS');
  expect(said(await courier.deliver(mail('one.plain.example')))[0]).toMatch(/^failed 5\.7\.30: .*REQUIRETLS/);
  expect(said(await courier.deliver({ ...mail('one.plain.example'), purpose: 'report' }))).toEqual([
    'delivered',
  ]);
  expect(first.accepted).toHaveLength(1);
});

test('mail that must leave by TLS for the whole way does not come back while a server that may promise it is away', async () => {
  await server(B);
  const { courier, time } = await gateway({ hosts: ['*.plain.example'] });
  for (let i = 0; i < 3; i++) {
    const mail = { ...mailTo('bob@two.plain.example'), requireTls: 'onward' as const };
    expect(said(await courier.deliver(mail))[0]).toMatch(/^later 4\.4\.1: .*a\.plain\.example/);
    // The courier calls again, and leaves out whom it has not reached.
    time.now = new Date(time.now.getTime() + 5_500);
  }
});

describe('DANE', () => {
  test.each([
    ['ee.signed.example', {}, /^delivered/],
    ['alias.signed.example', {}, /^delivered/],
    ['ta.signed.example', { chain: true }, /^delivered/],
    ['ta.signed.example', {}, /^later .*no issuer that its TLSA records name/],
    ['ta2.signed.example', { chain: true }, /^later .*is not for ta2host.signed.example/],
    // Nobody knows what they mean: TLS, whoever it is.
    ['odd.signed.example', { other: true }, /^delivered/],
    ['odd.signed.example', WITHOUT_TLS, /^later .*STARTTLS/],
    ['wrong.signed.example', {}, /^later .*not the one that its TLSA records name/],
    // An alias that is signed, of a name in a zone that is not (RFC 7672 §2.2.2).
    ['away.signed.example', {}, /^later .*not the one that its TLSA records name/],
    // Attacks.
    ['ee.signed.example', WITHOUT_TLS, /^later .*does not offer STARTTLS/],
    ['ee.signed.example', { other: true }, /^later .*not the one that its TLSA records name/],
  ])(
    '%s, %o: %s',
    async (domain, { chain = false, other = false, ...options }: Record<string, unknown>, expected) => {
      const identity = other === true ? world.stranger : world.certificate;
      const ca = readFileSync(world.caFile, 'utf8');
      const tls = { key: identity.key, cert: chain === true ? identity.cert + ca : identity.cert };
      const fake = await server(A, { tls, ...options });
      const { courier } = await gateway();
      const [outcome = ''] = said(await courier.deliver(mailTo(`bob@${domain}`)));
      expect(outcome).toMatch(expected);
      expect(fake.accepted).toHaveLength(outcome === 'delivered' ? 1 : 0);
    },
  );

  test('records that DNSSEC does not vouch for are none', async () => {
    await server(A);
    expect(said(await (await gateway()).courier.deliver(mailTo('bob@forged.plain.example')))).toEqual([
      'delivered',
    ]);
    const { courier } = await gateway({ tls: 'dane' });
    expect(said(await courier.deliver(mailTo('bob@forged.plain.example')))[0]).toMatch(/^later 4\.7\.5/);
  });

  test('attack: whoever takes the answer about TLSA records away does not take the protection', async () => {
    const fake = await server(A, WITHOUT_TLS);
    const { courier } = await gateway({
      answer: ({ type }) => {
        if (type === 52) throw unanswered();
        return null;
      },
    });
    expect(said(await courier.deliver(mailTo('bob@ee.signed.example')))[0]).toMatch(/^later 4\.4\.3/);
    expect(fake.accepted).toEqual([]);
  });
});

describe('MTA-STS', () => {
  const start = async (options: GatewayOptions = {}) => {
    const policies = await policyServer(world);
    ends.push(() => policies.stop());
    policies.state.text = policyText('enforce', 'a.plain.example');
    return { policies, side: await gateway({ policyPort: policies.state.port, ...options }) };
  };

  test('a policy is enforced, and fetched once', async () => {
    const fake = await server(A);
    const { policies, side } = await start();
    for (let i = 0; i < 2; i++)
      expect(said(await side.courier.deliver(mailTo('bob@sts.plain.example')))).toEqual(['delivered']);
    expect(policies.state.asked).toBe(1);
    expect([secured(fake), fake.accepted.length]).toEqual([1, 2]);
  });

  test.each([
    ['STARTTLS is stripped', WITHOUT_TLS, 'sts', /^later .*does not offer STARTTLS/],
    ['another certificate', { other: true }, 'sts', /^later .*(not match|altname)/i],
    ['MX records lead elsewhere', {}, 'stsother', /^later 4\.7\.5: .*does not name b\.plain\.example/],
  ])(
    'attack: %s, and nothing leaves',
    async (_, { other, ...options }: Record<string, unknown>, label, expected) => {
      const tls = other === true ? world.stranger : world.certificate;
      const fakes = [await server(A, { tls, ...options }), await server(B, { tls, ...options })];
      const { side } = await start();
      expect(said(await side.courier.deliver(mailTo(`bob@${label}.plain.example`)))[0]).toMatch(expected);
      expect(fakes.flatMap(({ accepted }) => accepted)).toEqual([]);
    },
  );

  test('attack: a policy that is known stays, though its record is gone, its server silent, and the gateway new', async () => {
    const database = `${world.folder}/policies.sqlite`;
    const fake = await server(A);
    const { side, policies } = await start({ database });
    expect(said(await side.courier.deliver(mailTo('bob@sts.plain.example')))).toEqual(['delivered']);
    await side.stop();
    ends = ends.filter((end) => end !== ends.at(-1));
    await fake.close();
    const stripped = await server(A, WITHOUT_TLS);
    policies.state.status = 404;
    const gone = { records: [], isAuthentic: false, timeToLive: null, exists: false, canonical: null };
    const other = { ...gone, records: [Buffer.from('\x0fv=STSv1; id=222')], exists: true };
    for (const answer of [gone, other]) {
      const later = await gateway({
        ...{ database, policyPort: policies.state.port },
        answer: ({ name: asked }) => (asked.startsWith('_mta-sts.') ? answer : null),
      });
      expect(said(await later.courier.deliver(mailTo('bob@sts.plain.example')))[0]).toMatch(
        /^later .*STARTTLS/,
      );
      // Until it is over.
      later.time.now = new Date(later.time.now.getTime() + 8 * 24 * 3_600_000);
      expect(said(await later.courier.deliver(mailTo('bob@sts.plain.example')))).toEqual(['delivered']);
    }
    expect(stripped.accepted).toHaveLength(2);
  });

  test('a policy counts although no name server answers about IPv6', async () => {
    const fake = await server(A, WITHOUT_TLS);
    const { side } = await start({
      answer: ({ type, name: asked }) => {
        if (type === 28 && asked.startsWith('mta-sts.')) throw unanswered();
        return null;
      },
    });
    expect(said(await side.courier.deliver(mailTo('bob@sts.plain.example')))[0]).toMatch(/^later .*STARTTLS/);
    expect(fake.accepted).toEqual([]);
  });

  test('a policy that was fetched in what is the future now is fetched anew', async () => {
    const { side, policies } = await start();
    const via = { kind: 'mx', tls: 'opportunistic', hosts: [] } as const;
    const { now } = side.time;
    for (const at of [new Date(now.getTime() + 9 * 365 * 24 * 3_600_000), now, now]) {
      side.time.now = at;
      const plan = await side.mx.plan('sts.plain.example', via, false, new AbortController().signal);
      expect(plan).toMatchObject({ sts: { policy: { mode: 'enforce' } } });
    }
    expect(policies.state.asked).toBe(2);
  });

  test('a domain whose name no server of policies can have has none', async () => {
    await server(A);
    const { side } = await start({
      answer: (question) =>
        question.type === 16
          ? { ...NOTHING, records: [Buffer.from('\x0fv=STSv1; id=222')] }
          : everyName(A)(question),
    });
    expect(said(await side.courier.deliver(mailTo('bob@plain.123')))).toEqual(['delivered']);
  });

  test.each([
    ['testing', policyText('testing', 'elsewhere.example')],
    ['none', policyText('none')],
    ['unreadable', 'version: STSv1'],
  ])('a policy that is %s keeps nobody from the mail', async (_, text) => {
    await server(B, WITHOUT_TLS);
    const { side, policies } = await start();
    policies.state.text = text;
    expect(said(await side.courier.deliver(mailTo('bob@stsother.plain.example')))).toEqual(['delivered']);
  });

  test.each<[string, { status?: number; type?: string }]>([
    ['a redirect', { status: 302 }],
    ['a page', { type: 'text/html' }],
    ['an error', { status: 500 }],
  ])('%s is no policy, and is not asked for again at once', async (_, answer) => {
    await server(B);
    const { side, policies } = await start();
    Object.assign(policies.state, answer);
    for (let i = 0; i < 2; i++) {
      expect(said(await side.courier.deliver(mailTo('bob@stsother.plain.example')))).toEqual(['delivered']);
    }
    expect(policies.state.asked).toBe(1);
  });

  test('attack: a server of policies without its certificate has none', async () => {
    const policies = await policyServer(world, world.stranger);
    ends.push(() => policies.stop());
    policies.state.text = policyText('enforce', 'a.plain.example');
    await server(B);
    const { courier, mx } = await gateway({ policyPort: policies.state.port });
    expect(said(await courier.deliver(mailTo('bob@stsother.plain.example')))).toEqual(['delivered']);
    const via = { kind: 'mx', tls: 'opportunistic', hosts: [] } as const;
    const plan = await mx.plan('stsother.plain.example', via, false, new AbortController().signal);
    expect(plan).toMatchObject({ sts: { policy: null } });
    expect(policies.state.asked).toBe(0);
  });
});

const NOTHING: DnsAnswer = {
  ...{ records: [], isAuthentic: false, timeToLive: 60, exists: true, canonical: null },
};

/** Every name is a server at this address, and has nothing else. */
function everyName(address: string) {
  return ({ type }: DnsQuestion): DnsAnswer =>
    type === 1 ? { ...NOTHING, records: [Buffer.from(address.split('.').map(Number))] } : NOTHING;
}

function mx(preference: number, host: string): Buffer {
  return Buffer.concat([Buffer.from([0, preference]), name(host)]);
}

function name(text: string): Buffer {
  return Buffer.from(
    `${text
      .split('.')
      .map((label) => String.fromCharCode(label.length) + label)
      .join('')}\0`,
  );
}

function unanswered(): Error {
  return new SealgateError({
    ...{ code: 'dns.unanswered', publicText: 'No answer.', duration: 'temporary', reason: 'SERVFAIL' },
  });
}
