import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { MailSystem } from '../../support/mail-system.ts';
import { childrenOf } from '../../support/processes.ts';

/** `sealgate serve` as an operator runs it, in a process of its own. */
export type GatewayProcess = {
  readonly child: ChildProcess;
  readonly configFile: string;
  /** Everything it has printed, Latin-1. */
  output(): string;
  port(listener: string): number;
  /** Processes that it started. */
  children(): Promise<number[]>;
  /** SIGTERM, then its exit code. */
  stop(): Promise<number | null>;
};

/**
 * A further gateway before the servers of `system`, from the same file with `more` in it.
 *
 * @param environment added to what the test itself has
 * @param by what starts the command in place of the test itself, such as a terminal
 */
export async function startByHand(
  system: MailSystem,
  name: string,
  more: Record<string, unknown>,
  environment: Record<string, string> = {},
  by: (command: readonly string[]) => readonly string[] = (command) => command,
): Promise<GatewayProcess> {
  const settings = parse(await readFile(system.configFile, 'utf8')) as Record<string, unknown>;
  const configFile = join(system.folder, `${name}.yaml`);
  const all: Record<string, unknown> = {
    ...settings,
    log: { level: 'debug', format: 'json' },
    ...more,
  };
  await writeFile(configFile, stringify(all), { mode: 0o600 });
  const listeners = ['submission', 'imap', 'pop3'].flatMap((section) => all[section] ?? []).length;
  const [program = '', ...args] = by([process.execPath, 'src/main.ts', 'serve', '--config', configFile]);
  const child = spawn(program, args, {
    stdio: 'pipe',
    env: { ...process.env, ...environment },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text: Buffer) => (output += text.toString('latin1')));
  }
  const ended = once(child, 'close');
  const ports = new Map<string, number>();
  while (ports.size < listeners) {
    for (const line of output
      .split('\n')
      .slice(0, -1)
      .filter((each) => each.includes('gateway.listening'))) {
      const { listener, port } = JSON.parse(line) as { listener: string; port: number };
      ports.set(listener, port);
    }
    if (child.exitCode !== null) throw new Error(output);
    if (ports.size < listeners) await Promise.race([once(child.stdout, 'data'), ended]);
  }
  return {
    child,
    configFile,
    output: () => output,
    port: (listener) => ports.get(listener) ?? 0,
    children: () => childrenOf([child.pid ?? 0]),
    async stop() {
      child.kill('SIGTERM');
      await ended;
      return child.exitCode;
    },
  };
}
