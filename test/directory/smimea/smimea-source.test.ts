import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addressKey } from '../../../src/directory/address-key.ts';
import type { RemoteAnswer } from '../../../src/directory/remote/remote-source.ts';
import { type SmimeaSettings, SmimeaSource } from '../../../src/directory/smimea/smimea-source.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import { smimeaName } from '../../../src/pki/smimea-name.ts';
import { makeCa } from '../../pki/make-certificate.ts';
import type { Started } from '../../support/services/disposable.ts';
import { type NameServers, nameServers } from '../../support/services/name-servers.ts';
import { correspondent } from '../correspondent.ts';

const NOW = new Date('2026-06-01T00:00:00Z');
const of = (mailbox: string, issuer = 'Partner CA') =>
  correspondent({ mailboxes: [mailbox], key: mailbox, issuer });
const ca = makeCa('Partner CA');
const otherCa = makeCa('Other CA');
const DOMAIN = 'partner.example';
const bob = of(`bob@${DOMAIN}`);
const expired = correspondent({
  mailboxes: [`bob@${DOMAIN}`],
  serial: 9,
  notAfter: new Date('2026-05-01T00:00:00Z'),
});
const carol = of(`carol@${DOMAIN}`);
const dora = of(`dora@${DOMAIN}`);

const sha = (name: 'sha256' | 'sha512', octets: Buffer) => createHash(name).update(octets).digest();
const line = (address: string, numbers: string, data: Buffer) =>
  `${smimeaName(address)}. IN SMIMEA ${numbers} ${data.toString('hex')}`;

const records = [
  line(`bob@${DOMAIN}`, '3 0 0', bob.der),
  line(`bob@${DOMAIN}`, '3 0 0', expired.der),
  line(`bob@${DOMAIN}`, '3 0 0', Buffer.from('rubbish')),
  // What nobody has defined, and a digest of a wrong length.
  line(`bob@${DOMAIN}`, '9 0 0', bob.der),
  line(`bob@${DOMAIN}`, '3 1 1', Buffer.from('short')),
  line(`carol@${DOMAIN}`, '3 1 1', sha('sha256', carol.subjectPublicKeyInfo)),
  line(`c512@${DOMAIN}`, '3 0 2', sha('sha512', carol.der)),
  line(`key@${DOMAIN}`, '3 1 0', carol.subjectPublicKeyInfo),
  line(`dora@${DOMAIN}`, '2 0 0', ca.der),
  line(`ta@${DOMAIN}`, '2 1 1', sha('sha256', ca.subjectPublicKeyInfo)),
  line(`hint@${DOMAIN}`, '0 0 0', ca.der),
  line(`path@${DOMAIN}`, '1 0 0', of(`path@${DOMAIN}`).der),
  line(`eve@${DOMAIN}`, '3 0 0', bob.der),
  line(`"a b"@${DOMAIN}`, '3 0 0', of(`"a b"@${DOMAIN}`).der),
  `${smimeaName(`alias@${DOMAIN}`)}. IN CNAME ${smimeaName(`bob@${DOMAIN}`)}.`,
  // What a domain may write that wants nobody to get an answer.
  ...Array.from({ length: 10 }, (_, i) => `a${i}.${DOMAIN}. IN CNAME a${i + 1}.${DOMAIN}.`),
  `${smimeaName(`chain@${DOMAIN}`)}. IN CNAME a0.${DOMAIN}.`,
  `${smimeaName(`loop@${DOMAIN}`)}. IN CNAME ${smimeaName(`loop@${DOMAIN}`)}.`,
];

let servers: Started<NameServers>;
beforeAll(async () => {
  servers = await nameServers(
    [
      { name: DOMAIN, dnssec: 'signed', records },
      { name: 'bogus.example', dnssec: 'bogus', records: [line('bob@bogus.example', '3 0 0', bob.der)] },
    ],
    { silent: ['silent.example'] },
  );
});
afterAll(() => servers?.stop());

type Changed = Partial<SmimeaSettings> & {
  ports?: readonly number[];
  intermediates?: readonly Certificate[];
};
function source({ ports = [servers.port], intermediates = [], ...changed }: Changed = {}): SmimeaSource {
  const resolvers = ports.map((port) => ({ host: '127.0.0.1', port, name: `127.0.0.1:${port}` }));
  const settings: SmimeaSettings = {
    ...{ name: 'dns', resolvers, withoutDnssec: 'ignore', domains: null, optional: false, timeoutMs: 5_000 },
    ...changed,
  };
  return new SmimeaSource(settings, { clock: () => NOW, postQuantum: false, intermediates });
}

async function ask(address: string, changed: Changed = {}): Promise<RemoteAnswer> {
  const key = addressKey(address);
  if (key === null) throw new Error(`${address} is no address`);
  return source(changed).ask(key, new AbortController().signal);
}
const prints = ({ certificates }: RemoteAnswer) => certificates.map(({ fingerprint }) => fingerprint);
const failure = (address: string, changed: Changed = {}) =>
  ask(address, changed).then(
    () => 'answered',
    ({ code, reason }: { code: string; reason: string }) => `${code}: ${reason}`,
  );

describe('a domain that signs its zone', () => {
  test('vouches for the certificate that it names for the address, and for no other', async () => {
    const answer = await ask(`bob@${DOMAIN}`);
    expect(prints(answer)).toEqual([bob.fingerprint]);
    expect([bob, carol].map((one) => answer.vouches?.(one))).toEqual(['verified', null]);
    // The expired one, rubbish, and two records that cannot be read.
    expect(answer).toMatchObject({ passedOver: 4, keptMs: 300_000 });
  });

  test.each([`carol@${DOMAIN}`, `c512@${DOMAIN}`, `key@${DOMAIN}`])(
    'vouches by a digest or a key alone for what is known from elsewhere (%s)',
    async (address) => {
      const answer = await ask(address);
      expect(prints(answer)).toEqual([]);
      expect([carol, bob].map((one) => answer.vouches?.(one))).toEqual(['verified', null]);
    },
  );

  test('vouches for what an authority has issued that it names, itself left out', async () => {
    const answer = await ask(`dora@${DOMAIN}`);
    const forged = correspondent({
      mailboxes: [`dora@${DOMAIN}`],
      key: 'eve',
      issuer: 'Partner CA',
      issuerKey: 'eve',
    });
    const elsewhere = of(`dora@${DOMAIN}`, 'Other CA');
    expect(answer).toMatchObject({ certificates: [], passedOver: 0 });
    expect([dora, forged, elsewhere, ca].map((one) => answer.vouches?.(one))).toEqual([
      'verified',
      null,
      null,
      null,
    ]);
  });

  test('names an authority by its key, where its certificate is at hand', async () => {
    const address = `ta@${DOMAIN}`;
    expect((await ask(address)).vouches?.(dora)).toBeNull();
    expect((await ask(address, { intermediates: [otherCa] })).vouches?.(dora)).toBeNull();
    expect((await ask(address, { intermediates: [ca] })).vouches?.(dora)).toBe('verified');
  });

  test('that wants a path to an anchor as well is not enough alone', async () => {
    const answer = await ask(`path@${DOMAIN}`);
    expect(answer.certificates.map((one) => answer.vouches?.(one))).toEqual(['by-path']);
  });

  test('gives authorities that only help to find paths', async () => {
    const answer = await ask(`hint@${DOMAIN}`);
    expect(answer.chain.map(({ fingerprint }) => fingerprint)).toEqual([ca.fingerprint]);
    expect([dora, ca].map((one) => answer.vouches?.(one))).toEqual([null, null]);
  });

  test('cannot give the certificate of another address', async () => {
    expect(await ask(`eve@${DOMAIN}`)).toMatchObject({ certificates: [], passedOver: 1 });
    expect(await ask(`alias@${DOMAIN}`)).toMatchObject({ certificates: [], passedOver: 5 });
  });

  test('is asked for quoted local parts without their quotation marks, and for letters as they are', async () => {
    expect(prints(await ask(`"a b"@${DOMAIN}`))).toHaveLength(1);
    expect(await ask(`Bob@${DOMAIN}`)).toMatchObject({ certificates: [], passedOver: 0 });
    expect(await ask(`nobody@${DOMAIN}`)).toMatchObject({ certificates: [], passedOver: 0 });
  });
});

describe('a domain that does not sign its zone', () => {
  const plain = correspondent({ mailboxes: ['bob@plain.example'] });
  let unsigned: Started<NameServers>;
  beforeAll(async () => {
    unsigned = await nameServers([
      {
        ...{ name: 'plain.example', dnssec: 'unsigned' },
        records: [
          line('bob@plain.example', '3 0 0', plain.der),
          line('ta@plain.example', '2 0 0', ca.der),
          line('carol@plain.example', '3 1 1', sha('sha256', carol.subjectPublicKeyInfo)),
          line('path@plain.example', '1 0 0', of('path@plain.example').der),
        ],
      },
    ]);
  });
  afterAll(() => unsigned?.stop());

  test('is not believed, and it is said why', async () => {
    expect(await ask('bob@plain.example', { ports: [unsigned.port] })).toEqual({
      ...{ certificates: [], chain: [], passedOver: 1 },
      remark: 'its records are not signed (DNSSEC), so they are not used',
    });
    expect(await ask('nobody@plain.example', { ports: [unsigned.port] })).toEqual({
      ...{ certificates: [], chain: [], passedOver: 0 },
    });
  });

  test('is taken as the source is trusted where that is configured, and vouches for nothing', async () => {
    const taken = { ports: [unsigned.port], withoutDnssec: 'directory' } as const;
    const answer = await ask('bob@plain.example', taken);
    expect(prints(answer)).toEqual([plain.fingerprint]);
    expect(answer.vouches?.(plain)).toBe('as-source');
    expect(source(taken).trust).toBe('directory');
    expect((await ask('ta@plain.example', taken)).vouches?.(dora)).toBeNull();
    expect((await ask('carol@plain.example', taken)).vouches?.(carol)).not.toBe('verified');
    const path = await ask('path@plain.example', taken);
    expect(path.certificates.map((one) => path.vouches?.(one))).toEqual(['by-path']);
  });
});

describe('no answer', () => {
  test('is what a domain gives whose signatures are wrong, whatever is done with unsigned ones', async () => {
    for (const withoutDnssec of ['ignore', 'directory'] as const) {
      expect(await failure('bob@bogus.example', { withoutDnssec })).toMatch(/^dns\.unanswered: .*SERVFAIL/);
    }
  });

  test('is what a domain gives whose servers are silent; the resolver is well', async () => {
    // After half of it the resolver is asked for a sign of life, and gives it in the other half.
    expect(await failure('bob@silent.example', { timeoutMs: 3_000 })).toMatch(/^dns\.unanswered: .*in time/);
  });

  test.each(['chain', 'loop'])(
    'is what a domain gives whose aliases lead nowhere (%s); the resolver is well, and asked for others',
    async (localPart) => {
      expect(await failure(`${localPart}@${DOMAIN}`)).toMatch(/^dns\.unanswered: /);
    },
  );

  test('is what a server gives that knows its own zones only, and the next one is asked', async () => {
    const { port, zonePort } = servers;
    expect(await failure(`bob@${DOMAIN}`, { ports: [zonePort] })).toMatch(
      /^dns\.answer|unreachable.*resolve/,
    );
    expect(prints(await ask(`bob@${DOMAIN}`, { ports: [zonePort, port] }))).toEqual([bob.fingerprint]);
  });

  test('is what nobody gives who is not there or says nothing', async () => {
    expect(await failure(`bob@${DOMAIN}`, { ports: [1] })).toMatch(/^dns\.unreachable: .*ECONNREFUSED/);
    servers.pause();
    try {
      expect(await failure(`bob@${DOMAIN}`, { timeoutMs: 300 })).toMatch(/^dns\.unreachable: .*in time/);
    } finally {
      servers.resume();
    }
  });
});

test('it is asked only for the domains that are configured, and for names that can be', () => {
  const covers = (address: string, changed: Changed = {}) => {
    const key = addressKey(address);
    return key !== null && source(changed).covers(key);
  };
  expect(covers('x@partner.example')).toBe(true);
  expect(covers('x@a.example', { domains: ['*.example'] })).toBe(true);
  expect(covers('x@example', { domains: ['*.example'] })).toBe(false);
  expect(covers(`x@${`${'a'.repeat(60)}.`.repeat(3)}example`)).toBe(false);
});
