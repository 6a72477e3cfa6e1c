import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startForegroundProcess } from '../../../../src/evaluation/foreground-process.ts';
import { requireCommand } from '../../require-command.ts';
import { type Started, started, temporaryFolder } from '../disposable.ts';
import { type Marionette, marionette } from '../marionette.ts';

/** Mozilla Thunderbird itself, without a screen, with one IMAP account over TLS and a profile of its own. */
export type Thunderbird = {
  /** Shows INBOX and waits until it lists so many messages; they are opened from there. */
  show(count: number): Promise<Listed[]>;
  /** Opens a message. `signed`: one whose signature Thunderbird looks at itself; waited for. */
  open(uid: number, signed?: boolean): Promise<Opened>;
  listed(): Promise<Listed[]>;
  /** What lies in its own store of an opened message, without the fields that it puts before it; waited for. */
  stored(uid: number): Promise<Buffer>;
  /** From now on without the network, or with it again. */
  offline(away: boolean): Promise<void>;
  /** Waits until INBOX has so many messages without anybody asking. */
  told(count: number): Promise<Listed[]>;
  /** Files a message into a mailbox, in the place of another one; its UID. */
  file(mailbox: string, octets: Buffer, replaces?: number): Promise<number>;
  stop(): Promise<void>;
};

export type Listed = { uid: number; subject: string; size: number; offline: number | null; read: boolean };

export type Opened = {
  text: string;
  attachments: string[];
  /** How the icons beside the sender are named; null: they are not there. */
  signed: string | null;
  encrypted: string | null;
};

export type ThunderbirdOptions = { port: number; login: string; password: string; ca: string };

const START_MS = 60_000;

/** The program without an account of its own. */
export type BareThunderbird = { profile: string; control: Marionette; stop(): Promise<void> };

export async function bareThunderbird(
  preferences: Record<string, string | number | boolean>,
): Promise<BareThunderbird> {
  await requireCommand('thunderbird');
  const { folder: profile, remove } = await temporaryFolder('thunderbird');
  const lines = Object.entries({ ...QUIET, ...preferences }).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
  );
  await writeFile(join(profile, 'user.js'), lines.join(''));
  const args = [
    '--headless',
    '--no-remote',
    '--profile',
    profile,
    '--marionette',
    '--remote-allow-system-access',
  ];
  const program = await startForegroundProcess(PROGRAM, args, { env: { HOME: profile } });
  const stop = async (): Promise<void> => {
    await program.stop();
    await remove();
  };
  try {
    const control = await marionette(await activePort(profile, () => program.ended()));
    return {
      ...{ profile, control },
      async stop() {
        control.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

export async function thunderbird(options: ThunderbirdOptions): Promise<Started<Thunderbird>> {
  const { profile, control, stop } = await bareThunderbird(preferences(options));
  try {
    const inside = await readFile(join(import.meta.dirname, 'inside.js'), 'utf8');
    const { ca, login, password } = options;
    await control.run(`${inside}\nawait window.furnish(...args);`, { ca, login, password });
    const desk = (name: string, ...given: readonly unknown[]): Promise<unknown> =>
      control.run('const [name, ...rest] = args; return await window.desk[name](...rest);', name, ...given);
    return started<Thunderbird>({
      show: async (count) => (await desk('show', count)) as Listed[],
      open: async (uid, signed = false) => (await desk('open', uid, signed)) as Opened,
      listed: async () => (await desk('listed')) as Listed[],
      async stored(uid) {
        return withoutOwnFields(Buffer.from((await desk('stored', uid)) as string, 'base64'));
      },
      offline: async (away) => void (await desk('offline', away)),
      told: async (count) => (await desk('told', count)) as Listed[],
      async file(mailbox, octets, replaces) {
        const file = join(profile, 'to-be-filed.eml');
        await writeFile(file, octets);
        return (await desk('file', mailbox, file, replaces ?? null)) as number;
      },
      stop,
    });
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The wrapper in /usr/bin changes the profile. */
const PROGRAM = '/usr/lib/thunderbird/thunderbird';

async function activePort(profile: string, ended: () => string | null): Promise<number> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    const port = Number(await readFile(join(profile, 'MarionetteActivePort'), 'utf8').catch(() => ''));
    if (port > 0) return port;
    if (ended() !== null || Date.now() > deadline) throw new Error(`Thunderbird did not start: ${ended()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** X-Mozilla-Status and what else Thunderbird writes at the head of what it stores. */
function withoutOwnFields(octets: Buffer): Buffer {
  const own = /^(?:X-Mozilla-[A-Za-z0-9]+:[^\r\n]*\r?\n)*/.exec(octets.toString('latin1', 0, 2_000));
  return octets.subarray(own?.[0].length ?? 0);
}

const QUIET = {
  'marionette.port': 0,
  'app.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'toolkit.telemetry.enabled': false,
  'network.proxy.type': 0,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'http://127.0.0.1:1/',
  'mail.shell.checkDefaultClient': false,
  'mail.provider.suppress_dialog_on_startup': true,
  'mail.rights.version': 1,
  'mail.spotlight.firstRunDone': true,
  'mailnews.start_page.enabled': false,
};

function preferences({ port, login }: ThunderbirdOptions): Record<string, string | number | boolean> {
  return {
    'mail.accountmanager.accounts': 'account1,account2',
    'mail.accountmanager.defaultaccount': 'account1',
    'mail.accountmanager.localfoldersserver': 'server2',
    'mail.account.account1.server': 'server1',
    'mail.account.account1.identities': 'id1',
    'mail.account.account2.server': 'server2',
    'mail.identity.id1.useremail': login,
    'mail.identity.id1.valid': true,
    'mail.server.server1.type': 'imap',
    'mail.server.server1.hostname': 'localhost',
    'mail.server.server1.port': port,
    'mail.server.server1.userName': login,
    'mail.server.server1.name': login,
    // TLS from the beginning; the password as it is.
    'mail.server.server1.socketType': 3,
    'mail.server.server1.authMethod': 3,
    'mail.server.server1.using_subscription': false,
    'mail.server.server1.login_at_startup': false,
    'mail.server.server1.autosync_offline_stores': false,
    'mail.server.server2.type': 'none',
    'mail.server.server2.hostname': 'Local Folders',
    'mail.server.server2.userName': 'nobody',
    'mail.server.server2.name': 'Local Folders',
  };
}
