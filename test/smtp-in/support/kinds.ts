import { createSecureContext } from 'node:tls';
import type { Event } from '../../../src/log/events.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type { Spool, SpooledOctets } from '../../../src/octets/source.ts';
import type {
  HandOver,
  Keeping,
  StoreAndForward,
  Submission,
  SubmissionOutcome,
} from '../../../src/pipeline/ports.ts';
import {
  type SubmissionListener,
  type SubmissionListenerOptions,
  startSubmissionListener,
} from '../../../src/smtp-in/listener.ts';
import { startRelayListener } from '../../../src/smtp-in/relay-listener.ts';
import type { TlsMaterial } from '../../support/certificate.ts';
import { PLAIN, TestClient } from './client.ts';
import { type FakeOptions, type FakeUpstream, fakeUpstream, KEYWORDS } from './fake-upstream.ts';
import { ForwardingStory } from './gateway.ts';
import { inbound } from './relay.ts';

/** The listeners that take mail: for mail programs with a mail server behind, or the queue; for other servers, by SMTP and LMTP. */
export const KINDS = ['submission', 'queue', 'relay', 'lmtp'] as const;
export type Kind = (typeof KINDS)[number];

/** What a mail has while it is under way, and has to give back. */
export type Held = { spools: number; keepings: number; committed: number };

export type KindGateway = {
  kind: Kind;
  port: number;
  upstream: FakeUpstream;
  story: ForwardingStory;
  events: Event[];
  held: Held;
  /** Of the kind `queue`. */
  storeAndForward: StoreAndForward;
  listener: SubmissionListener;
  /** A client that has been greeted. */
  open(): Promise<TestClient>;
};

/** How both sides of the gateway are secured. */
export type Secured = { tls: 'implicit' | 'starttls'; material: TlsMaterial };

/** What is said before the first MAIL. */
export function prelude(kind: Kind): string[] {
  const greeting = kind === 'lmtp' ? 'LHLO client.test' : 'EHLO client.test';
  return logsIn(kind) ? [greeting, `AUTH PLAIN ${PLAIN}`] : [greeting];
}

export function logsIn(kind: Kind): boolean {
  return kind === 'submission' || kind === 'queue';
}

/** One message at a time for each login, and two in all; what is not short goes into a file. */
export async function gatewayOf(
  kind: Kind,
  fake: FakeOptions = {},
  changes: Partial<SubmissionListenerOptions> = {},
  secured: Secured | null = null,
): Promise<KindGateway> {
  const upstream = await fakeUpstream({
    keywords: [...keywordsOf(secured), 'AUTH PLAIN LOGIN SCRAM-SHA-256'],
    ...(secured === null ? {} : { tls: secured.material, implicit: secured.tls === 'implicit' }),
    ...fake,
  });
  const events: Event[] = [];
  const held: Held = { spools: 0, keepings: 0, committed: 0 };
  const story = new Committing();
  const storeAndForward: StoreAndForward = { begin: () => keeping(held), full: async () => null };
  const options: SubmissionListenerOptions = {
    ...{ name: 'test', host: '127.0.0.1', port: 0, tls: 'none', hostname: 'gateway.test', story },
    upstream: { host: '127.0.0.1', port: upstream.port, tls: 'none' },
    log: { write: (event) => void events.push(event) },
    sendingBounds: {
      ...{ address: null, network: null },
      login: { messages: 2, recipients: null, minutes: 60, atOnce: 1 },
    },
    spool: counted(encryptedSpool({ memoryOctets: 1 }), held),
    relayMechanisms: ['SCRAM-SHA-256'],
    ...(kind === 'queue' ? { storeAndForward } : {}),
    ...(secured === null ? {} : secure(secured, upstream.port)),
    ...changes,
  };
  const listener = await (logsIn(kind)
    ? startSubmissionListener(options)
    : startRelayListener({
        ...options,
        relay: inbound(['example.net'], { protocol: kind === 'lmtp' ? 'lmtp' : 'smtp' }),
      }));
  const { port } = listener;
  const open = () => opened(port, secured, kind);
  return { kind, port, upstream, story, events, held, storeAndForward, listener, open };
}

function keywordsOf(secured: Secured | null): readonly string[] {
  const keywords = KEYWORDS.filter((line) => !line.startsWith('AUTH'));
  return secured?.tls === 'starttls' ? [...keywords, 'STARTTLS'] : keywords;
}

function secure(
  { tls, material: { cert, key, file: caFile } }: Secured,
  port: number,
): Pick<SubmissionListenerOptions, 'tls' | 'secureContext' | 'upstream'> {
  return {
    ...{ tls, secureContext: createSecureContext({ cert, key }) },
    upstream: { host: '127.0.0.1', port, tls, caFile, serverName: 'localhost' },
  };
}

async function opened(port: number, secured: Secured | null, kind: Kind): Promise<TestClient> {
  if (secured?.tls === 'implicit') return TestClient.openSecured(port, secured.material.cert);
  const client = await TestClient.open(port);
  if (secured === null) return client;
  await client.ask(prelude(kind)[0] ?? '');
  if ((await client.ask('STARTTLS'))?.startsWith('220') !== true) throw new Error('no STARTTLS');
  await client.secure(secured.material.cert);
  return client;
}

/** A client that has said all that comes before MAIL. */
export async function ready({ kind, open }: KindGateway): Promise<TestClient> {
  const client = await open();
  for (const line of prelude(kind)) {
    const said = await client.ask(line);
    if (said?.startsWith('2') !== true) throw new Error(`${line}: ${said}`);
  }
  return client;
}

class Committing extends ForwardingStory {
  protected override async handOver(submission: Submission, handOver: HandOver): Promise<SubmissionOutcome> {
    const outcome = await super.handOver(submission, handOver);
    if (outcome.kind === 'accepted') await handOver.commit?.();
    return outcome;
  }
}

function keeping(held: Held): Keeping {
  held.keepings++;
  let isOpen = true;
  const end = async () => {
    if (isOpen) held.keepings--;
    isOpen = false;
  };
  return {
    add: async ({ octets }) => {
      for await (const _ of octets.read());
    },
    fail: async () => undefined,
    commit: async () => {
      if (isOpen) held.committed++;
      await end();
    },
    drop: end,
  };
}

function counted(inner: Spool, held: Held): Spool {
  return {
    begin() {
      held.spools++;
      let isHeld = true;
      const back = () => {
        if (isHeld) held.spools--;
        isHeld = false;
      };
      const writer = inner.begin();
      return {
        write: (octets) => writer.write(octets),
        async finish() {
          const spooled = await writer.finish();
          const discard = () => spooled.discard().finally(back);
          return new Proxy(spooled, {
            get: (of: SpooledOctets, name) => {
              if (name === 'discard') return discard;
              const value = Reflect.get(of, name, of);
              return typeof value === 'function' ? value.bind(of) : value;
            },
          });
        },
        discard: () => writer.discard().finally(back),
      };
    },
  };
}
