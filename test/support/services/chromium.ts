import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';

/** A browser without a window, with one page; at first without JavaScript in it. */
export type Chromium = {
  /** For pages that are opened from then on. */
  allowScripts(allowed: boolean): Promise<void>;
  /** Resolves when the page is loaded. */
  open(url: string): Promise<void>;
  /** Does what a person does who clicks, and resolves when the next page is loaded. @param selector CSS */
  click(selector: string): Promise<void>;
  /** Types into a field. */
  type(selector: string, text: string): Promise<void>;
  /** What an expression gives in the page; works without JavaScript in pages too. */
  look(expression: string): Promise<unknown>;
  /** What the browser complained about so far: refused styles, scripts, forms. */
  complaints(): readonly string[];
  /** Header fields of the last request for a page. */
  sent(): Readonly<Record<string, string>>;
  /** URLs of everything that was asked for. */
  asked(): readonly string[];
};

type Message = {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: unknown;
};

/** Chrome DevTools Protocol over two pipes: JSON, each message ended by NUL. */
export async function chromium(): Promise<Started<Chromium>> {
  const program = await requireCommand('chromium');
  const { folder, remove } = await temporaryFolder('chromium');
  const child = spawn(
    program,
    [
      ...[
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--no-first-run',
        '--disable-breakpad',
      ],
      ...[
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-proxy-server',
      ],
      ...['--remote-debugging-pipe', `--user-data-dir=${folder}`, 'about:blank'],
    ],
    // A group of its own: the browser is many processes.
    {
      detached: true,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: folder },
    },
  );
  const stop = async (): Promise<void> => {
    await ended(child);
    await remove();
  };
  try {
    return started({ ...(await pageOf(child)), stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  const { pid } = child;
  if (pid === undefined) return;
  const running = child.exitCode === null && child.signalCode === null;
  const exit = running ? once(child, 'exit') : null;
  const group = (signal: NodeJS.Signals | 0): boolean => {
    try {
      return process.kill(-pid, signal);
    } catch {
      return false;
    }
  };
  group('SIGKILL');
  await exit;
  while (group(0)) await setTimeout(5);
}

async function pageOf(child: ChildProcess): Promise<Chromium> {
  const [, , , input, output] = child.stdio as [null, null, null, Writable, Readable];
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  const complaints: string[] = [];
  const asked: string[] = [];
  let sent: Record<string, string> = {};
  let loaded: () => void = () => undefined;
  let id = 0;
  let session: string | undefined;
  const ask = (method: string, params: object = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      waiting.set(++id, { resolve, reject });
      const sessionId = session === undefined ? {} : { sessionId: session };
      input.write(`${JSON.stringify({ id, method, params, ...sessionId })}\0`);
    });
  const heard = ({ id: answered, method, params = {}, result, error }: Message): void => {
    if (answered !== undefined) {
      const { resolve, reject } = waiting.get(answered) ?? {};
      waiting.delete(answered);
      if (error === undefined) resolve?.(result);
      else reject?.(new Error(JSON.stringify(error)));
    } else if (method === 'Page.loadEventFired') loaded();
    else if (method === 'Log.entryAdded') {
      const { entry } = params as { entry: { text: string } };
      complaints.push(entry.text);
    } else if (method === 'Network.requestWillBeSent')
      asked.push((params as { request: { url: string } }).request.url);
    else if (method === 'Network.requestWillBeSentExtraInfo')
      sent = (params as { headers: Record<string, string> }).headers;
  };
  let pending = '';
  output.setEncoding('utf8');
  output.on('data', (chunk: string) => {
    const messages = (pending + chunk).split('\0');
    pending = messages.pop() ?? '';
    for (const message of messages) heard(JSON.parse(message));
  });
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the browser has ended'));
  });
  const { targetId } = (await ask('Target.createTarget', { url: 'about:blank' })) as { targetId: string };
  const attached = await ask('Target.attachToTarget', { targetId, flatten: true });
  session = (attached as { sessionId: string }).sessionId;
  for (const domain of ['Page', 'Log', 'Network']) await ask(`${domain}.enable`);
  const allowScripts = async (allowed: boolean): Promise<void> => {
    await ask('Emulation.setScriptExecutionDisabled', { value: !allowed });
  };
  await allowScripts(false);
  const look = async (expression: string): Promise<unknown> => {
    const given = await ask('Runtime.evaluate', { expression, returnByValue: true, userGesture: true });
    const { result, exceptionDetails } = given as { result: { value: unknown }; exceptionDetails?: unknown };
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  const andLoaded = async (act: () => Promise<unknown>): Promise<void> => {
    const next = new Promise<void>((resolve) => {
      loaded = resolve;
    });
    await act();
    await next;
  };
  const element = (selector: string) => `document.querySelector(${JSON.stringify(selector)})`;
  return {
    allowScripts,
    open: (url) => andLoaded(() => ask('Page.navigate', { url })),
    click: (selector) => andLoaded(() => look(`${element(selector)}.click()`)),
    async type(selector, text) {
      await look(`${element(selector)}.focus()`);
      await ask('Input.insertText', { text });
    },
    look,
    complaints: () => complaints,
    sent: () => sent,
    asked: () => asked,
  };
}
