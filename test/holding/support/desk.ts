import { randomBytes } from 'node:crypto';
import { AnswerAddresses } from '../../../src/holding/answer-address.ts';
import { Answers } from '../../../src/holding/answers.ts';
import { HeldLinks } from '../../../src/holding/held-links.ts';
import { WaitingMails } from '../../../src/holding/held-mails.ts';
import { HeldStore } from '../../../src/holding/held-store.ts';
import { HoldingDesk } from '../../../src/holding/holding-desk.ts';
import { Looking } from '../../../src/holding/looking.ts';
import { Releases } from '../../../src/holding/releases.ts';
import { Turns } from '../../../src/holding/turns.ts';
import { type MailId, newMailId } from '../../../src/ids.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collectFrom } from '../../../src/octets/collect.ts';
import type { HeldProtection, HeldProtector, HoldTerms, MailToHold } from '../../../src/pipeline/waiting.ts';
import { type Delivery, readDeliveries } from '../../../src/queue/delivery-rows.ts';
import { OwnMails } from '../../../src/queue/own-mail.ts';
import type { SealedSpool } from '../../../src/queue/ports.ts';
import type { SqlStore } from '../../../src/store/sql-store.ts';
import { GATEWAY, newOwnKey, ownIdentity } from '../../queue/support/own-identity.ts';
import { mailbox, startTestQueue, type TestQueue } from '../../queue/support/queue.ts';

/** What is known of a recipient's certificate, as the test has it. Who is not in it has none. */
export type Known = Map<string, 'certificate' | 'away'>;

/** Mail that waits in a folder of its own, with a queue that nobody empties, and time as the test says. */
export type Desk = TestQueue & {
  known: Known;
  /** How often octets were encrypted. */
  protectedFor: string[];
  held: HeldStore;
  desk: HoldingDesk;
  mails: WaitingMails;
  releases: Releases;
  looking: Looking;
  answers: Answers;
  addresses: AnswerAddresses;
  links: HeldLinks;
  /** Of logins. */
  belongings: Map<string, readonly string[]>;
  /** What is in the queue, with its text; long lines are put together. */
  queued(): Promise<(Delivery & { text: string })[]>;
};

export const SECRET = randomBytes(32);
const key = newOwnKey();

export type DeskOptions = {
  url?: string | null;
  /** In place of those of the queue. */
  around?: (parts: { store: SqlStore; spool: SealedSpool }) => { store: SqlStore; spool: SealedSpool };
  /** Goes on in the folder of another one. */
  queue?: TestQueue;
};

export async function startDesk({
  url = null,
  around = (parts) => parts,
  queue,
}: DeskOptions = {}): Promise<Desk> {
  const base = queue ?? (await startTestQueue());
  const { time, events } = base;
  const clock = () => time.now;
  const log = { write: (event: TestQueue['events'][number]) => void events.push(event) };
  const { store, spool } = around({ store: base.store, spool: base.spool });
  const hostname = 'gateway.example.org';
  const ownMails = new OwnMails({ identity: ownIdentity([key]), hostname, days: 5, clock, log });
  const addresses = new AnswerAddresses(SECRET, GATEWAY);
  const links = new HeldLinks(SECRET, clock);
  const turns = new Turns();
  const known: Known = new Map();
  const protectedFor: string[] = [];
  const belongings = new Map([['alice', ['alice@example.org']]]);
  const staging = { stage: base.queue.stage.bind(base.queue), enqueue: base.queue.enqueue.bind(base.queue) };
  const held = new HeldStore({ store, spool, queue: staging, clock, log });
  const releases = new Releases({
    ...{ held, store, turns, ownMails, hostname, clock, log, deliveryMs: 5 * 24 * 3_600_000 },
    protector: protectorOf(known, protectedFor),
  });
  const mails = new WaitingMails({ store, held, releases, turns, ownMails, hostname, clock });
  const looking = new Looking({ store, held, releases, mails, everyMs: 3_600_000, clock, log });
  const desk = new HoldingDesk({
    ...{ store, spool, queue: staging, ownMails, addresses, links, clock, log },
    settings: { days: 14, deliveryDays: 5, url },
    held: () => undefined,
  });
  const answers = new Answers({
    ...{ addresses, held, mails, ownMails, queue: staging, log },
    keyring: { addressesOf: ({ login }) => belongings.get(login) ?? [] },
  });
  return {
    ...base,
    ...{ known, protectedFor, held, desk, mails, releases, looking, answers, addresses, links, belongings },
    async queued() {
      const rows = await readDeliveries(base.store, [], 100);
      return Promise.all(
        rows.map(async (row) => ({
          ...row,
          text: String(await collectFrom(await base.spool.read(row.id))).replaceAll('=\r\n', ''),
        })),
      );
    },
    stop: () => base.stop(),
  };
}

/** Encrypts by saying so, for one recipient. */
function protectorOf(known: Known, protectedFor: string[]): HeldProtector {
  return {
    async protect(_mail, recipient, content): Promise<HeldProtection> {
      const address = `${recipient.mailbox.localPart}@${recipient.mailbox.domain}`;
      const knows = known.get(address);
      if (knows === undefined) return { kind: 'waiting', because: 'no valid certificate is known' };
      if (knows === 'away') {
        const { SealgateError } = await import('../../../src/errors.ts');
        const publicText = 'The directory does not answer.';
        const error = new SealgateError({ code: 'directory.unavailable', duration: 'temporary', publicText });
        return { kind: 'later', error };
      }
      const { encryptable } = await content();
      protectedFor.push(address);
      const octets = Buffer.from(`ENCRYPTED FOR ${address}: ${encryptable.length}\r\n`);
      return { kind: 'ready', octets: bufferSource(octets), discard: async () => undefined };
    },
  };
}

export const TERMS: HoldTerms = {
  ...{ rule: 'confidential', ask: false, minTrust: 'verified', revocation: 'soft', algorithms: null },
  ...{ subject: 'keep', requireTls: 'no', appendTo: null },
};

export const TEXT = 'the key is under the third stone';
const HEADER =
  'From: alice@example.org\r\nTo: bob@partner.example\r\nSubject: Plans\r\nMessage-ID: <m1@example.org>\r\n';

/** A mail of Alice's that is to wait for Bob; or otherwise. */
export function mailToHold({
  to = ['bob@partner.example'],
  ask = false,
  terms = {},
  ...changes
}: Partial<Omit<MailToHold, 'terms'>> & {
  to?: readonly string[];
  ask?: boolean;
  terms?: Partial<HoldTerms>;
} = {}): MailToHold {
  return {
    ...{ id: newMailId(), from: 'alice@example.org', login: 'alice', listener: 'submission' },
    shownSubject: 'Plans',
    envelope: { reversePath: mailbox('alice@example.org'), mailParameters: [] },
    recipients: to.map((address) => ({
      recipient: { mailbox: mailbox(address), parameters: [] },
      because: 'no valid certificate is known',
    })),
    terms: { ...TERMS, ask, ...terms },
    encryptable: bufferSource(Buffer.from(`${HEADER}\r\n${TEXT}\r\n`)),
    headerProtection: null,
    readable: ask ? bufferSource(Buffer.from(`${HEADER}X-Readable: yes\r\n\r\n${TEXT}\r\n`)) : null,
    own: null,
    introduction: null,
    ...changes,
  };
}

export function states(desk: Desk, id: MailId): Promise<string[]> {
  return desk.mails
    .find(id)
    .then((mail) => mail?.recipients.map(({ address, state }) => `${address} ${state}`) ?? []);
}
