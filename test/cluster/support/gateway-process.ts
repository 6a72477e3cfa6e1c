import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

/** A process of the gateway, with the lines of its log. */
export type Node = {
  readonly name: string;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** What it wrote to its standard error, and how it ended where nobody asked it to. */
  readonly complaints: readonly string[];
  signal(signal: NodeJS.Signals): void;
  /** Ends it as a power cut would. */
  kill(): Promise<void>;
  start(): Promise<void>;
};

/** @param within words before its own: what it is started by */
export function gatewayProcess(name: string, file: string, within: readonly string[] = []): Node {
  const lines: Record<string, unknown>[] = [];
  const complaints: string[] = [];
  let child: ChildProcess | null = null;
  return {
    ...{ name, lines, complaints },
    signal(signal) {
      child?.kill(signal);
    },
    async kill() {
      const ending = child;
      if (ending === null || ending.exitCode !== null || ending.signalCode !== null) return;
      const gone = once(ending, 'exit');
      ending.kill('SIGKILL');
      await gone;
    },
    async start() {
      const own = [
        process.execPath,
        resolve('src/main.ts'),
        'serve',
        '--no-upstream-check',
        '--config',
        file,
      ];
      const [program = '', ...words] = [...within, ...own];
      const started = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
      child = started;
      const listening = Promise.withResolvers<void>();
      let rest = '';
      started.stderr?.on('data', (octets: Buffer) => {
        complaints.push(octets.toString());
      });
      started.stdout?.on('data', (octets: Buffer) => {
        const texts = `${rest}${octets.toString()}`.split('\n');
        rest = texts.pop() ?? '';
        for (const text of texts) {
          const line = JSON.parse(text) as Record<string, unknown>;
          lines.push(line);
          if (line.event === 'gateway.listening') listening.resolve();
        }
      });
      started.once('exit', (code, signal) => {
        if (signal !== 'SIGKILL') complaints.push(`ended: ${code ?? signal}`);
        listening.reject(new Error(`node ${name} ended: ${complaints.join('')}`));
      });
      await listening.promise;
      listening.promise.catch(() => undefined);
    },
  };
}
