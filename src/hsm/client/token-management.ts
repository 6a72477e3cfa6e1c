import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { SealgateError, unreachable } from '../../errors.ts';
import {
  type AnswerTo,
  type FromManagement,
  type ManagementRequest,
  parseFromManagement,
  TOKEN_MANAGEMENT,
  type ToManagement,
} from '../management-messages.ts';
import type { PinSource, TokenSelector } from '../source-kinds.ts';
import { ControlReader, controlFrame } from '../wire/control-frames.ts';
import { CONTROL_PIPE } from '../wire/pipes.ts';
import { moduleEnvironment } from './module-environment.ts';
import { openScConfiguration } from './opensc-configuration.ts';
import { startWithPipes } from './start-key-process.ts';

/**
 * One request to one PKCS#11 module, in a process that ends with it: a module that hangs or crashes is an error with a name, and
 * neither PINs nor keys are ever here.
 */

export type ManageTokenOptions<K extends ManagementRequest['kind']> = {
  /** Absolute path of the PKCS#11 library. */
  module: string;
  /** What the module needs of an environment, besides locale and home. */
  environment: Readonly<Record<string, string>>;
  /** As in TokenSource. */
  initArgs?: string | undefined;
  token: TokenSelector;
  request: Extract<ManagementRequest, { kind: K }>;
  /** What is going on, for a person who waits: one line, no secret. */
  progress?: (text: string) => void;
  /** Milliseconds that the module may be silent; people who are asked for a PIN have as long as they like. Default by request. */
  timeout?: number;
  /** Another program in place of token-management.ts; for tests. */
  program?: URL;
};

/** RSA-4096 on a slow card takes minutes. */
const TIMEOUTS: Readonly<Record<ManagementRequest['kind'], number>> = {
  list: 30_000,
  initialise: 120_000,
  generate: 600_000,
  'write-certificates': 120_000,
  'import-keys': 120_000,
  delete: 60_000,
  'change-pin': 60_000,
  'unblock-pin': 60_000,
};

/**
 * @throws SealgateError `key.module-unreadable`, `key.module-silent`, `key.module-crashed`, `key.token-absent`,
 *   `key.token-ambiguous`, `key.pin-incorrect`, `key.pin-locked`, `key.pin-last-try`, `key.refused` and what the request adds
 */
export async function manageToken<K extends ManagementRequest['kind']>(
  options: ManageTokenOptions<K>,
): Promise<AnswerTo<K>> {
  const { module, environment, token, request, progress } = options;
  const requested: ManagementRequest = request;
  await using opensc = requested.kind === 'unblock-pin' ? await openScConfiguration(environment) : null;
  const settings = {
    ...moduleEnvironment(process.env, true),
    ...environment,
    ...secretsNamed(requested),
    ...opensc?.environment,
  };
  const child = startWithPipes(options.program ?? managementProgram, [TOKEN_MANAGEMENT], settings, 1);
  try {
    const message: ToManagement = {
      ...{ kind: 'request', module, token, request },
      initArgs: options.initArgs ?? null,
    };
    const answer = await conversation(child, message, {
      module,
      timeout: options.timeout ?? TIMEOUTS[request.kind],
      progress: progress ?? (() => undefined),
    });
    if (answer.kind !== request.kind) throw crashed(module, 'an answer to something else');
    return answer as AnswerTo<K>;
  } finally {
    await ended(child);
  }
}

const managementProgram = new URL(
  import.meta.url.replace(/client\/token-management(\.[jt]s)$/, 'process/token-management$1'),
);

type Watch = { module: string; timeout: number; progress: (text: string) => void };

function conversation(child: ChildProcess, message: ToManagement, watch: Watch) {
  const { module, timeout, progress } = watch;
  const { promise, resolve, reject } =
    Promise.withResolvers<Extract<FromManagement, { kind: 'answer' }>['answer']>();
  let timer: NodeJS.Timeout | null = null;
  const stopWatching = () => {
    if (timer !== null) clearTimeout(timer);
  };
  const startWatching = () => {
    stopWatching();
    timer = setTimeout(() => reject(silent(module, timeout)), timeout);
  };
  const control = child.stdio[CONTROL_PIPE];
  const reader = new ControlReader();
  const heard = (value: unknown): void => {
    const received = parseFromManagement(value);
    if (received === null) {
      reject(crashed(module, 'an answer that is not one'));
      return;
    }
    switch (received.kind) {
      case 'asking':
        stopWatching();
        return;
      case 'working':
        startWatching();
        progress(received.text);
        return;
      case 'answer':
        resolve(received.answer);
        return;
      case 'failed':
        reject(failed(received));
        return;
      default:
        unreachable(received);
    }
  };
  if (control instanceof Duplex) {
    control.on('data', (chunk: Buffer) => {
      for (const value of reader.push(chunk) ?? [null]) heard(value);
    });
    // The end of the process, which is noticed below.
    control.on('error', () => undefined);
    control.write(controlFrame(message));
  }
  child.once('error', (cause) => reject(crashed(module, cause.message)));
  // `close` comes when what it has said is read.
  child.once('close', (code, signal) => reject(crashed(module, signal ?? `exit code ${code}`)));
  startWatching();
  return promise.finally(stopWatching);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Variables that the request names as places of secrets; everything else of that kind stays here. */
function secretsNamed(request: ManagementRequest): Record<string, string> {
  const found: Record<string, string> = {};
  for (const source of secretSources(request)) {
    if (source === null || !('env' in source)) continue;
    const value = process.env[source.env];
    if (value !== undefined) found[source.env] = value;
  }
  return found;
}

function secretSources(request: ManagementRequest): readonly (PinSource | null)[] {
  switch (request.kind) {
    case 'list':
      return [];
    case 'initialise':
      return [request.soPin, request.userPin];
    case 'import-keys': {
      const { source } = request;
      return [request.login.pin, source.kind === 'pkcs12' ? source.password : source.passphrase];
    }
    case 'generate':
    case 'write-certificates':
    case 'delete':
      return [request.login.pin];
    case 'change-pin':
      return [request.login.pin, request.newPin];
    case 'unblock-pin':
      return [request.puk, request.newPin];
    default:
      return unreachable(request);
  }
}

function failed({ code, publicText, duration, reason }: Extract<FromManagement, { kind: 'failed' }>) {
  return new SealgateError({ code, publicText, duration, ...(reason === '' ? {} : { reason }) });
}

function silent(module: string, timeout: number): SealgateError {
  return new SealgateError({
    code: 'key.module-silent',
    duration: 'temporary',
    publicText: `The PKCS#11 module ${module} did not answer for ${Math.ceil(timeout / 1000)} seconds and was ended; look whether its reader or service works (unplug and plug in the reader, or start its service again), then try again.`,
  });
}

function crashed(module: string, reason: string): SealgateError {
  return new SealgateError({
    code: 'key.module-crashed',
    duration: 'temporary',
    publicText: `The PKCS#11 module ${module} ended unexpectedly (${reason}); whether it did what was asked is not known: look with “sealgate token list” before you try again, and ask its vendor for a newer version if it happens again.`,
    reason,
  });
}
