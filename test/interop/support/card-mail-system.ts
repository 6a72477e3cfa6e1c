import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { startDovecot } from '../../../src/evaluation/dovecot.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { type ReceivedMail, startSmtpUpstream } from '../../../src/evaluation/smtp-upstream.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { KeyClient } from '../../../src/hsm/client/key-client.ts';
import { openKeySources } from '../../../src/hsm/key-sources.ts';
import type { KeyPlace } from '../../../src/hsm/key-state.ts';
import { createKeyring } from '../../../src/hsm/keyring.ts';
import type { PinSource, TokenSource } from '../../../src/hsm/source-kinds.ts';
import { startImapListener } from '../../../src/imap-proxy/listener.ts';
import type { Event } from '../../../src/log/events.ts';
import type { Log } from '../../../src/log/log.ts';
import { inboundStory } from '../../../src/pipeline/inbound.ts';
import { type LockedSecretsParts, lockedSecrets } from '../../../src/pipeline/locked-secrets.ts';
import { outboundStory } from '../../../src/pipeline/outbound.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';
import type { Reading } from '../../../src/reading/reader-views.ts';
import { RecordedMailboxes } from '../../../src/reading/recorded-mailbox.ts';
import { StoredViews } from '../../../src/reading/stored/stored-views.ts';
import { startSubmissionListener } from '../../../src/smtp-in/listener.ts';
import { openSqlite } from '../../../src/store/sqlite.ts';
import { openStoredContents } from '../../../src/store/stored-contents.ts';
import { viewMigrations } from '../../../src/store/view-migrations.ts';
import { SqliteViewRecords } from '../../../src/store/view-records.ts';
import { FakeDelivered, FakeDirectory, rule } from '../../pipeline/support/ports.ts';
import { temporaryFolder } from '../../support/services/disposable.ts';
import { type CardInReader, virtualCard } from '../../support/services/virtual-card.ts';

/** Alice's keys are on a card; she reads from a real Dovecot and sends to a real SMTP server, through the gateway's own listeners. */
export type CardMailSystem = {
  readonly card: CardInReader;
  readonly events: readonly Event[];
  readonly address: string;
  readonly caFile: string;
  readonly password: string;
  readonly imapPort: number;
  /** Disconnects in the place of refusing. */
  readonly mirrorPort: number;
  /** Waits until the gateway has noticed. */
  isAway(): Promise<void>;
  isThere(): Promise<void>;
  /** A client that is logged in and has INBOX open. */
  imap(): Promise<ImapFlow>;
  /** Sends over one connection that stays open. */
  smtp(): ReturnType<typeof createTransport>;
  /** Puts a mail into her mailbox as if somebody had sent it; encrypted to her card's certificate or not. */
  deliver(subject: string, text: string, encrypted: boolean): Promise<void>;
  /** The signed content, by OpenSSL. */
  verified(octets: Buffer): Promise<string>;
  received(): readonly ReceivedMail[];
  /** Whoever is asked for the PIN types it now, and from now on at once. */
  type(): Promise<void>;
  /** Whoever is asked from now on has to think about it. */
  hesitate(): Promise<void>;
  stop(): Promise<void>;
};

const ADDRESS = 'alice@sealgate.test';
const PASSWORD = 'pass-alice';

/** @param pin `file`: it is in a file; `person`: somebody is asked, and types it only when the test says so */
/** @param kept what was opened is kept over sessions */
export async function cardMailSystem(
  pin: 'file' | 'person',
  kept: 'kept' | 'not-kept' = 'not-kept',
): Promise<CardMailSystem> {
  const { folder, remove } = await temporaryFolder('card-mail');
  await using undo = new AsyncDisposableStack();
  undo.defer(remove);
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const server = await pki.issueServer();
  const users = [ADDRESS, 'bob@sealgate.test'].map((login) => ({ login, password: PASSWORD }));
  const dovecot = undo.adopt(await startDovecot({ users, tls: server }), (one) => one.stop());
  const upstream = undo.adopt(
    await startSmtpUpstream({ users, lmtpPort: dovecot.lmtpPort, tls: server }),
    (one) => one.stop(),
  );
  const card = undo.adopt(
    await virtualCard(pki, {
      keys: [
        { reference: '9a', address: ADDRESS, use: 'sign' },
        { reference: '9d', address: ADDRESS, use: 'encrypt' },
      ],
    }),
    (one) => one.stop(),
  );
  const typed = join(folder, 'typed');
  const source = await pinSource(pin, folder, card.card.pin, typed);
  const events: Event[] = [];
  const log = { write: (event: Event) => void events.push(event) };
  const place: TokenSource = {
    ...{ kind: 'token', module: card.module, environment: card.env, pin: source, removable: true },
    token: { label: null, serial: null, model: null, manufacturer: null, reader: card.reader(0).name },
    ...{ objects: { object: null, id: null }, sessions: 1, certificates: [] },
  };
  const started: KeyPlace[] = [];
  const keys = undo.adopt(
    await openKeySources([{ name: 'card', use: 'sign-and-decrypt', usesPerMinute: null, places: [place] }], {
      ...{ log, awaitRemovable: true },
      startPlace(start) {
        const client = KeyClient.start({ ...start, refusals: start.refusals ?? new Set<string>() });
        started.push(client);
        return client;
      },
    }),
    (one) => one.close(),
  );
  const clock = () => new Date();
  const principals = [{ login: ADDRESS, addresses: [ADDRESS], keys: ['card'] }];
  const parts = {
    ...{ keyring: createKeyring({ principals, loginIsAddress: false, keys, log, clock }), clock, log },
    directory: new FakeDirectory(),
  };
  const reading: Reading = kept === 'kept' ? await keptReading(folder, parts, log, undo) : {};
  const anchors = readCertificates(Buffer.from(pki.ca.certificate));
  const common = {
    ...{ host: '127.0.0.1', port: 0, log, hostname: 'gateway.sealgate.test' },
    secureContext: createSecureContext({ cert: server.cert, key: server.key }),
  };
  const [imap, mirror] = await Promise.all(
    (['refuse', 'disconnect'] as const).map(async (keyAway) =>
      undo.adopt(
        await startImapListener({
          ...common,
          ...{ name: 'imaps', tls: 'implicit', hasKeys: () => true, keyAway },
          upstream: {
            ...{ host: '127.0.0.1', port: dovecot.imapPort, tls: 'starttls', serverName: 'localhost' },
            caFile: pki.ca.certificateFile,
          },
          story: inboundStory({ ...parts, anchors, intermediates: [] }),
          ...{ viewSecret: SECRET, installationId: '7f3a9c2e', reading },
        }),
        (one) => one.close(),
      ),
    ),
  );
  if (imap === undefined || mirror === undefined) throw new Error('two listeners expected');
  const submission = undo.adopt(
    await startSubmissionListener({
      ...common,
      ...{ name: 'submission', tls: 'starttls' },
      upstream: {
        ...{ host: '127.0.0.1', port: upstream.port, tls: 'starttls', serverName: 'localhost' },
        ...{ allowPlaintext: false, caFile: pki.ca.certificateFile },
      },
      story: outboundStory({ ...parts, delivered: new FakeDelivered(), rules: [rule({ encrypt: 'never' })] }),
    }),
    (one) => one.close(),
  );
  const [, decryption] = card.card.keys;
  const recipient = join(folder, 'recipient.pem');
  await writeFile(recipient, decryption?.certificate ?? '');
  const [reader] = started;
  if (reader === undefined) throw new Error('no key process was started');
  const stands = async (...kinds: string[]): Promise<void> => {
    while (!kinds.includes(reader.state.kind)) {
      await new Promise<void>((resolve) => reader.onChange(resolve));
    }
  };
  if (pin === 'file') await stands('open');
  const held = undo.move();
  return {
    ...{ card, events, address: ADDRESS, password: PASSWORD, caFile: pki.ca.certificateFile },
    ...{ imapPort: imap.port, mirrorPort: mirror.port },
    isAway: () => stands('absent'),
    isThere: () => stands(pin === 'file' ? 'open' : 'locked'),
    async imap() {
      const client = new ImapFlow({
        ...{ host: 'localhost', port: imap.port, secure: true, tls: { ca: pki.ca.certificate } },
        ...{ auth: { user: ADDRESS, pass: PASSWORD }, logger: false },
      });
      await client.connect();
      await client.mailboxOpen('INBOX');
      return client;
    },
    smtp: () =>
      createTransport({
        ...{ host: 'localhost', port: submission.port, requireTLS: true, tls: { ca: pki.ca.certificate } },
        ...{ auth: { user: ADDRESS, pass: PASSWORD }, pool: true, maxConnections: 1 },
      }),
    async deliver(subject, text, encrypted) {
      const entity = `Content-Type: text/plain\r\n\r\n${text}\r\n`;
      const header = `From: bob@sealgate.test\r\nTo: ${ADDRESS}\r\nSubject: ${subject}\r\n`;
      const body = encrypted
        ? (await runProgram('openssl', ['cms', '-encrypt', '-aes-256-cbc', recipient], { input: entity }))
            .stdout
        : entity;
      const client = createTransport({
        ...{ host: 'localhost', port: upstream.port, requireTLS: true, tls: { ca: pki.ca.certificate } },
        auth: { user: ADDRESS, pass: PASSWORD },
      });
      const raw = Buffer.from(`${header}${body.toString()}`.replace(/\r?\n/g, '\r\n'));
      await client.sendMail({ envelope: { from: 'bob@sealgate.test', to: ADDRESS }, raw });
      client.close();
    },
    async verified(octets) {
      const args = ['cms', '-verify', '-CAfile', pki.ca.certificateFile];
      return (await runProgram('openssl', args, { input: octets })).stdout.toString();
    },
    received: () => upstream.received,
    type: () => writeFile(typed, card.card.pin, { mode: 0o600 }),
    hesitate: () => rm(typed, { force: true }),
    stop: () => held.disposeAsync(),
  };
}

/** A pinentry that types what is in a file as soon as there is one. */
async function pinSource(
  from: 'file' | 'person',
  folder: string,
  pin: string,
  typed: string,
): Promise<PinSource> {
  if (from === 'file') {
    const file = join(folder, 'pin');
    await writeFile(file, pin, { mode: 0o600 });
    return { file };
  }
  const program = join(folder, 'pinentry');
  await writeFile(
    program,
    `#!/bin/sh
echo OK
while read -r word rest; do
  case "$word" in
    GETPIN) while [ ! -s ${typed} ]; do sleep 0.05; done; echo "D $(cat ${typed})"; echo OK ;;
    BYE) echo OK; exit ;;
    *) echo OK ;;
  esac
done
`,
  );
  await chmod(program, 0o700);
  return { ask: 'pinentry', program };
}

const SECRET = Buffer.alloc(32, 7);

/** `reading.store`, as the gateway has it. */
async function keptReading(
  folder: string,
  parts: LockedSecretsParts,
  log: Log,
  undo: AsyncDisposableStack,
): Promise<Reading> {
  const { contents, store } = await openStoredContents(join(folder, 'opened.sqlite'));
  undo.defer(() => store.close());
  const records = await openSqlite(join(folder, 'views.sqlite'), viewMigrations);
  undo.defer(() => records.close());
  const stored = new StoredViews({
    ...{ contents, locks: lockedSecrets(parts), secret: SECRET, log },
    ...{ maxOctets: 1024 * 1024, logins: null },
  });
  undo.defer(() => stored.close());
  return { recorded: new RecordedMailboxes(new SqliteViewRecords(records)), stored, account: 'localhost' };
}
