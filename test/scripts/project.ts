import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT } from '../structure/source-files.ts';

/**
 * A stand-in for the project that looks installed: the real scripts, and whatever programs a test puts in the place of
 * the real ones. So the scripts' own behaviour can be seen without installing anything.
 */
export type Project = AsyncDisposable & {
  readonly folder: string;
  write(file: string, text: string): Promise<void>;
  remove(file: string): Promise<void>;
  /** Starts a script with the Node of this test; as an account without rights where `unprivileged` says so. */
  start(script: string, args?: readonly string[], options?: { unprivileged?: boolean }): Running;
};

export type Running = {
  readonly child: ChildProcess;
  /** Standard output and error so far. */
  output(): string;
  /** Resolves when the text has been written; rejects when the script ends without it. */
  says(text: string): Promise<void>;
  /** The exit code, or the signal's name. */
  ended: Promise<number | string>;
};

const LOCK = '{ "packages": { "": {}, "node_modules/a": { "version": "1.0.0", "integrity": "sha512-a" } } }';
const NOBODY = 65534;

export async function project(): Promise<Project> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-project-'));
  await chmod(folder, 0o755);
  await cp(join(ROOT, 'scripts'), join(folder, 'scripts'), { recursive: true });
  const write = async (file: string, text: string): Promise<void> => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  };
  await write('package-lock.json', LOCK);
  await write('node_modules/.package-lock.json', LOCK);
  await write('node_modules/pkcs11js/build/Release/pkcs11.node', '');
  await mkdir(join(folder, 'node_modules/.bin'));
  await symlink(process.execPath, join(folder, 'node_modules/.bin/node'));
  return {
    folder,
    write,
    remove: (file) => rm(join(folder, file), { recursive: true }),
    start(script, args = [], options = {}) {
      const account =
        options.unprivileged === true && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
      const child = spawn(process.execPath, [join(folder, 'scripts', script), ...args], {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH ?? '', TMPDIR: process.env.TMPDIR ?? '/tmp' },
        ...account,
      });
      return running(child);
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

function running(child: ChildProcess): Running {
  let output = '';
  const listeners = new Set<() => void>();
  const hear = (octets: Buffer): void => {
    output += octets.toString('utf8');
    for (const listener of listeners) listener();
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  return {
    child,
    output: () => output,
    says: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (output.includes(text)) resolve();
        };
        listeners.add(look);
        look();
        ended.then(() => reject(new Error(`ended without saying ${text}: ${output}`)), reject);
      }),
    ended,
  };
}
