import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { type GatewayProcess, startByHand } from '../../attacks/support/gateway-process.ts';
import { type Ended, runSealgate } from '../../commands/support/run-sealgate.ts';
import { addressOf, type MailSystem, startMailSystem } from '../../support/mail-system.ts';
import {
  type CardInReader,
  type VirtualCard,
  type VirtualCardOptions,
  virtualCard,
} from '../../support/services/virtual-card.ts';
import { PersonAtPinentry } from './person-at-pinentry.ts';

/**
 * A desk: Alice with her card, a reader, her mail programs, and the gateway as she starts it. Real servers are behind it, real
 * PC/SC and OpenSC beside it.
 */
export type CardDesk = {
  readonly system: MailSystem;
  readonly reader: CardInReader;
  /** Hers: 9a and 9c sign, 9d decrypts. */
  readonly card: VirtualCard;
  readonly person: PersonAtPinentry;
  /** Starts the gateway; `more` is the key source besides name, kind and module. One name has one state folder. */
  serve(name: string, more?: Record<string, unknown>, from?: 'service' | 'terminal'): Promise<DeskGateway>;
  /** A command with the gateway's configuration. */
  command(
    gateway: Pick<DeskGateway, 'configFile'> & { environment?: Record<string, string> },
    ...args: readonly string[]
  ): Promise<Ended>;
  /** Somebody sends her a mail that is encrypted to her card, by another way than the gateway. */
  sendEncrypted(text: string): Promise<void>;
  /** What OpenSSL finds in a signed mail, and whose certificate it is. */
  verified(octets: Buffer | undefined): Promise<{ content: string; signer: string }>;
  stop(): Promise<void>;
};

type Line = { event: string } & Record<string, unknown>;

export type DeskGateway = GatewayProcess & {
  /** The next line of that event, after the one that was given out last. */
  event(name: string): Promise<Line>;
  /** All lines of that event so far. */
  events(name: string): Line[];
  /** Waits until that is in what it has printed. */
  printed(what: RegExp): Promise<RegExpExecArray>;
  /** By nodemailer; the reply, whatever it is. */
  send(text: string): Promise<string>;
  /** For what no line of the log tells: sends until the reply is as it is waited for. */
  reply(expected: RegExp): Promise<string>;
  /** What INBOX shows, oldest first: the mails, or what the client is told instead. */
  read(): Promise<string[]>;
  /** The same by POP3, with Python's poplib. */
  readByPop3(): Promise<string[]>;
};

export const ALICE = addressOf('alice');
export const BOB = addressOf('bob');

export async function cardDesk(options: VirtualCardOptions & { inserted?: boolean } = {}): Promise<CardDesk> {
  await using undo = new AsyncDisposableStack();
  const system = undo.adopt(
    await startMailSystem({
      users: ['alice', 'bob'],
      withoutKeys: ['alice', 'bob'],
      rules: [{ name: 'signed', sign: 'require', encrypt: 'never' }],
    }),
    (one) => one.stop(),
  );
  const reader = undo.adopt(await virtualCard(system.pki, { address: ALICE, ...options }), (one) =>
    one.stop(),
  );
  const person = undo.use(new PersonAtPinentry());
  const { card } = reader;
  const running = new Set<DeskGateway>();
  undo.defer(async () => {
    for (const gateway of running) await gateway.stop();
  });
  const recipient = join(system.folder, 'card.pem');
  const encryption = card.keys.find(({ reference }) => reference === '9d');
  await writeFile(recipient, encryption?.certificate ?? '');
  const cache = join(system.folder, 'compiled');
  const kept = undo.move();
  return {
    ...{ system, reader, card, person },
    async serve(name, more = { pin: { ask: 'pinentry', program: person.program } }, from = 'service') {
      const key = {
        ...{ name: 'alice-card', kind: 'card', module: reader.module, environment: reader.env },
        ...more,
      };
      const principals = [
        { login: ALICE, addresses: [ALICE], keys: ['alice-card'] },
        { login: BOB, addresses: [BOB], keys: [] },
      ];
      const started = await startByHand(
        system,
        name,
        { stateFolder: join(system.folder, `state-${name}`), keys: [key], principals: { list: principals } },
        { NODE_COMPILE_CACHE: cache },
        from === 'terminal' ? onTerminal : undefined,
      );
      const gateway: DeskGateway = {
        ...started,
        ...deskGateway(system, started),
        async stop() {
          running.delete(gateway);
          return await started.stop();
        },
      };
      running.add(gateway);
      return gateway;
    },
    command: ({ configFile, environment }, ...args) =>
      runSealgate([...args, '--config', configFile], { env: { ...reader.env, ...environment }, cache }),
    async sendEncrypted(text) {
      const entity = `Content-Type: text/plain\r\n\r\n${text}\r\n`;
      const encrypt = ['cms', '-encrypt', '-aes-256-cbc', recipient];
      const { stdout } = await runProgram('openssl', encrypt, { input: entity });
      const header = `From: x@elsewhere.test\r\nTo: ${ALICE}\r\nSubject: encrypted\r\n`;
      const raw = `${header}${stdout.toString()}`.replace(/\r?\n/g, '\r\n');
      const direct = createTransport({
        ...{ host: 'localhost', port: system.upstream.port, requireTLS: true },
        tls: { ca: system.pki.ca.certificate },
        auth: { user: ALICE, pass: system.user('alice').password },
      });
      await direct.sendMail({ envelope: { from: 'x@elsewhere.test', to: ALICE }, raw });
      direct.close();
      system.taken();
    },
    async verified(octets = Buffer.alloc(0)) {
      const signer = join(system.folder, 'signer.pem');
      const verify = ['cms', '-verify', '-CAfile', system.pki.ca.certificateFile, '-signer', signer];
      const { stdout } = await runProgram('openssl', verify, { input: octets });
      const email = await runProgram('openssl', ['x509', '-in', signer, '-noout', '-email']);
      return { content: stdout.toString(), signer: email.stdout.toString().trim() };
    },
    stop: () => kept.disposeAsync(),
  };
}

/** On a pty of script(1), as in a terminal window, where GnuPG's agents find it too. */
function onTerminal(command: readonly string[]): readonly string[] {
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  return ['script', '-qefc', `GPG_TTY=$(tty) exec ${quoted}`, '/dev/null'];
}

function deskGateway(
  system: MailSystem,
  started: GatewayProcess,
): Pick<DeskGateway, 'event' | 'events' | 'printed' | 'send' | 'reply' | 'read' | 'readByPop3'> {
  const ca = system.pki.ca.certificate;
  const { password } = system.user('alice');
  const given = new Map<string, number>();
  let changed = Promise.withResolvers<void>();
  started.child.stdout?.on('data', () => {
    changed.resolve();
    changed = Promise.withResolvers();
  });
  const events = (name: string): Line[] =>
    started
      .output()
      .split('\n')
      .slice(0, -1)
      .filter((line) => line.includes(`"event":"${name}"`))
      // On a terminal a prompt may stand before it.
      .map((line) => JSON.parse(line.slice(line.indexOf('{"level"'))) as Line);
  const send = async (text: string): Promise<string> => {
    const client = createTransport({
      ...{ host: 'localhost', port: started.port('submission'), requireTLS: true, tls: { ca } },
      auth: { user: ALICE, pass: password },
    });
    try {
      return (await client.sendMail({ from: ALICE, to: BOB, subject: text, text })).response;
    } catch (error) {
      return (error as { response?: string }).response ?? String(error);
    } finally {
      client.close();
    }
  };
  const found = async <T>(look: () => T | null | undefined): Promise<T> => {
    for (;;) {
      const waited = changed.promise;
      const seen = look();
      if (seen != null) return seen;
      if (started.child.exitCode !== null) throw new Error(started.output());
      await waited;
    }
  };
  return {
    events,
    async event(name) {
      const already = given.get(name) ?? 0;
      given.set(name, already + 1);
      return await found(() => events(name)[already]);
    },
    printed: (what) => found(() => what.exec(started.output())),
    send,
    async reply(expected) {
      for (;;) {
        const said = await send('is it so yet');
        if (expected.test(said)) return said;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    async read() {
      const client = new ImapFlow({
        ...{ host: 'localhost', port: started.port('imaps'), secure: true, tls: { ca } },
        ...{ auth: { user: ALICE, pass: password }, logger: false },
      });
      await client.connect();
      const { exists } = await client.mailboxOpen('INBOX', { readOnly: true });
      const shown: string[] = [];
      for (let number = 1; number <= exists; number++) shown.push(await source(client, number));
      await client.logout();
      return shown;
    },
    async readByPop3() {
      const { stdout } = await runProgram('python3', ['-c', POPLIB], {
        input: JSON.stringify({
          ...{ port: started.port('pop3s'), login: ALICE, password },
          ca: system.pki.ca.certificateFile,
        }),
      });
      return JSON.parse(stdout.toString()) as string[];
    },
  };
}

async function source(client: ImapFlow, number: number): Promise<string> {
  try {
    const message = await client.fetchOne(String(number), { source: true });
    return !message ? '' : (message.source?.toString() ?? '');
  } catch (error) {
    const { response } = error as { response?: { attributes?: readonly unknown[] } };
    return JSON.stringify(response?.attributes ?? error);
  }
}

const POPLIB = `
import json, poplib, ssl, sys
asked = json.load(sys.stdin)
pop = poplib.POP3_SSL('localhost', asked['port'], context=ssl.create_default_context(cafile=asked['ca']))
pop.user(asked['login'])
pop.pass_(asked['password'])
shown = []
for number in range(1, len(pop.list()[1]) + 1):
    try:
        shown.append(b'\\r\\n'.join(pop.retr(number)[1]).decode('latin1'))
    except poplib.error_proto as error:
        shown.append(str(error))
pop.quit()
json.dump(shown, sys.stdout)
`;
