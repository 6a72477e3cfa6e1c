import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { AddressGuard } from '../../../src/connections/address-guard.ts';
import type { DnsAnswer, DnsQuestion } from '../../../src/dns/message.ts';
import { DnsResolver } from '../../../src/dns/resolver.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import type { ServerIdentity, ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { newMailId } from '../../../src/ids.ts';
import type { MailToDeliver } from '../../../src/queue/ports.ts';
import { RoutedCourier } from '../../../src/queue/routed-courier.ts';
import { askingInTurn } from '../../../src/routing/asking.ts';
import { HostBackoff } from '../../../src/routing/host-backoff.ts';
import { MxRouting } from '../../../src/routing/mx-routing.ts';
import { type MxVia, type Route, Routes, type TlsLevel } from '../../../src/routing/routes.ts';
import { SqlPolicyStore } from '../../../src/routing/sql-policy-store.ts';
import { StsPolicies } from '../../../src/routing/sts-policies.ts';
import { routingMigrations } from '../../../src/store/routing-migrations.ts';
import { openSqlite } from '../../../src/store/sqlite.ts';
import {
  type FakeOptions,
  type FakeUpstream,
  fakeUpstream,
  KEYWORDS,
} from '../../smtp-in/support/fake-upstream.ts';
import { temporaryFolder } from '../../support/services/disposable.ts';
import { type NameServers, nameServers } from '../../support/services/name-servers.ts';
import { services } from '../../support/services/services.ts';

/** Two mail servers at these addresses, on one port; nobody is at the third, and servers of policies are at the fourth. */
export const [A, B, NOBODY, POLICIES] = ['127.0.0.2', '127.0.0.3', '127.0.0.9', '127.0.0.4'] as const;
/** Of the zones: one whose answers are signed, one whose are not, one whose signatures are wrong. */
export const [SIGNED, PLAIN, BOGUS] = ['signed.example', 'plain.example', 'bogus.example'] as const;

export type MailWorld = {
  servers: NameServers;
  /** Of mail servers. */
  port: number;
  /** A certificate of the authority that mail servers of this world have, for A and B. */
  certificate: ServerIdentity;
  /** Of somebody else. */
  stranger: ServerIdentity;
  caFile: string;
  folder: string;
  pki: ThrowawayPki;
  stop(): Promise<void>;
};

const digest = (octets: Buffer) => createHash('sha256').update(octets).digest('hex');

/** The names of what is in the zones, and what the tests are about. */
export async function mailWorld(): Promise<MailWorld> {
  const pki = await services.pki();
  const { folder, remove } = await temporaryFolder('routing');
  const port = await freePort();
  const hosts = [`a.${PLAIN}`, `b.${PLAIN}`, `mta-sts.sts.${PLAIN}`, `mta-sts.stsother.${PLAIN}`];
  const [certificate, stranger] = await Promise.all([
    pki.issueServer([...hosts, `mx.${SIGNED}`, `ta.${SIGNED}`, A], 'p-256'),
    pki.issueServer(['stranger.example'], 'p-256'),
  ]);
  const own = new X509Certificate(certificate.cert);
  const spki = digest(own.publicKey.export({ type: 'spki', format: 'der' }));
  const ca = digest(new X509Certificate(pki.ca.certificate).raw);
  const tlsa = (host: string, data: string) => `_${port}._tcp.${host} IN TLSA ${data}`;
  const servers = await nameServers(
    [
      {
        ...{ name: PLAIN, dnssec: 'unsigned' },
        records: [
          ...[`a IN A ${A}`, `b IN A ${B}`, `off IN A ${NOBODY}`, 'inner IN A 10.9.8.7'],
          ...['two IN MX 10 a', 'two IN MX 20 b', 'one IN MX 10 a'],
          ...[`implicit IN A ${A}`, 'null IN MX 0 .', 'empty IN TXT nothing', 'aliased IN CNAME one'],
          ...['loop IN MX 10 gateway.test.', 'nohost IN MX 10 nowhere', 'private IN MX 10 inner'],
          ...['away IN MX 10 off', 'away IN MX 20 b', 'alloff IN MX 10 off'],
          ...['sts IN MX 10 a', '_mta-sts.sts IN TXT "v=STSv1; id=1;"', `mta-sts.sts IN A ${POLICIES}`],
          ...[
            'stsother IN MX 10 b',
            '_mta-sts.stsother IN TXT "v=STSv1; id=1;"',
            `mta-sts.stsother IN A ${POLICIES}`,
          ],
          // Anybody can write this here.
          ...['forged IN MX 10 a', tlsa('a', `3 1 1 ${'00'.repeat(32)}`)],
        ],
      },
      {
        ...{ name: SIGNED, dnssec: 'signed' },
        records: [
          ...['ee IN MX 10 mx', `mx IN A ${A}`, tlsa('mx', `3 1 1 ${spki}`)],
          ...['alias IN MX 10 mxalias', 'mxalias IN CNAME mx'],
          ...['ta IN MX 10 mxta', `mxta IN A ${A}`, tlsa('mxta', `2 0 1 ${ca}`)],
          ...['ta2 IN MX 10 ta2host', `ta2host IN A ${A}`, tlsa('ta2host', `2 0 1 ${ca}`)],
          ...['wrong IN MX 10 mxwrong', `mxwrong IN A ${A}`, tlsa('mxwrong', `3 1 1 ${'00'.repeat(32)}`)],
          ...['odd IN MX 10 mxodd', `mxodd IN A ${A}`, tlsa('mxodd', `1 1 1 ${spki}`)],
          ...['bare IN MX 10 mxbare', `mxbare IN A ${A}`],
          ...['away IN MX 10 mxaway', 'mxaway IN CNAME a.plain.example.'],
          tlsa('mxaway', `3 1 1 ${'00'.repeat(32)}`),
          ...['outside IN MX 10 a.plain.example.', 'named IN MX 10 a.plain.example.'],
        ],
      },
      { name: BOGUS, dnssec: 'bogus', records: ['@ IN MX 10 mx', `mx IN A ${A}`] },
    ],
    { silent: ['silent.example'] },
  );
  return {
    ...{ servers, port, certificate, stranger, folder, pki, caFile: pki.ca.certificateFile },
    async stop() {
      await Promise.all([servers.stop(), pki.stop(), remove()]);
    },
  };
}

export type Policies = { text: string; status: number; type: string; asked: number; port: number };

/** The https server of policies; what it says can be changed. */
export async function policyServer({ certificate }: MailWorld, identity = certificate) {
  const state: Policies = { text: '', status: 200, type: 'text/plain', asked: 0, port: 0 };
  const server = createServer({ cert: identity.cert, key: identity.key }, (request, response) => {
    state.asked++;
    const headers = { 'content-type': state.type, location: 'https://stranger.example/' };
    const isIt = request.url === '/.well-known/mta-sts.txt';
    response.writeHead(isIt ? state.status : 404, headers).end(state.text);
  });
  server.listen(0, POLICIES);
  await once(server, 'listening');
  state.port = (server.address() as AddressInfo).port;
  return {
    state,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const policyText = (mode: string, ...mx: readonly string[]) =>
  ['version: STSv1', `mode: ${mode}`, ...mx.map((name) => `mx: ${name}`), 'max_age: 604800', ''].join('\r\n');

let databases = 0;

export type GatewaySide = {
  courier: RoutedCourier;
  mx: MxRouting;
  time: { now: Date };
  stop(): Promise<void>;
};

export type GatewayOptions = {
  tls?: TlsLevel;
  hosts?: readonly string[];
  policyPort?: number;
  /** In place of the resolver's answer; null: that. */
  answer?: (question: DnsQuestion) => DnsAnswer | null;
  /** Database of policies; absent: a new one. */
  database?: string;
  resolverPort?: number;
};

/** What the gateway makes of its configuration, for one route that has every domain. */
export async function gatewaySide(world: MailWorld, options: GatewayOptions = {}): Promise<GatewaySide> {
  const {
    tls = 'opportunistic',
    hosts = [],
    policyPort = 1,
    answer,
    database = join(world.folder, `policies-${++databases}.sqlite`),
  } = options;
  const via: MxVia = { kind: 'mx', tls, hosts };
  const route: Route = { name: 'internet', domains: ['*'], connections: 2, via };
  const port = options.resolverPort ?? world.servers.port;
  const resolver = new DnsResolver([{ host: '127.0.0.1', port, name: 'unbound' }], 3_000);
  const ask = askingInTurn(async (question, signal) => answer?.(question) ?? resolver.ask(question, signal));
  const time = { now: new Date() };
  const clock = () => time.now;
  const guard = new AddressGuard(['127.0.0.0/8']);
  const store = await openSqlite(database, routingMigrations);
  const verified = createSecureContext({ ca: readFileSync(world.caFile) });
  const mx = new MxRouting({
    ...{ ask, guard, port: world.port, ownNames: ['gateway.test'], random: () => 0 },
    isOwn: () => false,
    policies: new StsPolicies({
      ...{ ask, guard, clock, store: new SqlPolicyStore(store), tls: verified, port: policyPort },
    }),
  });
  const courier = new RoutedCourier({
    ...{ routes: new Routes([route]), servers: new Map(), hostname: 'gateway.test', clock },
    mx: {
      ...{ mx, port: world.port, backoff: new HostBackoff(), clock },
      tls: { verified, unverified: createSecureContext({ ca: [] }) },
    },
  });
  return {
    ...{ courier, mx, time },
    async stop() {
      await courier.close();
      await store.close();
    },
  };
}

/** A mail server of this world. `keywords` without STARTTLS: it has no TLS. */
export function mailServer(
  { port, certificate }: MailWorld,
  host: string,
  options: Omit<FakeOptions, 'place'> = {},
): Promise<FakeUpstream> {
  return fakeUpstream({
    ...{ place: { host, port }, keywords: [...KEYWORDS, 'STARTTLS'], tls: certificate },
    ...options,
  });
}

export function mailTo(...addresses: readonly string[]) {
  return {
    ...{ id: newMailId(), purpose: 'released' as const, way: { kind: 'smtp' as const } },
    requireTls: 'no' as MailToDeliver['requireTls'],
    octets: Buffer.from('Subject: a\r\n\r\ntext\r\n'),
    envelope: {
      ...{ reversePath: mailbox('alice@home.example'), mailParameters: [] },
      recipients: addresses.map((address) => ({ mailbox: mailbox(address), parameters: [] })),
    },
  };
}

function mailbox(address: string) {
  const at = address.lastIndexOf('@');
  return { localPart: address.slice(0, at), domain: address.slice(at + 1) };
}
