import { access } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { travel } from '../evaluation/journey.ts';
import { printJourney, printSettings } from '../evaluation/print-journey.ts';
import { startEvaluationProfile } from '../evaluation/profile.ts';
import { checkUpstreams, type Gateway, startGateway, tellServersOfQueue } from '../gateway.ts';
import type { Log } from '../log/log.ts';
import { createLog } from '../log/pino-log.ts';
import { configInEnvironment, DEFAULT_CONFIG, readConfig } from './read-config.ts';
import { reloadPolicy } from './reload-policy.ts';
import { onReloadSignal } from './reload-signal.ts';
import { stopSignal, untilStopped } from './stop-signal.ts';

/** `sealgate serve`: the gateway; without any configuration, the evaluation profile. */
export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description(`run the gateway; without a configuration file (${DEFAULT_CONFIG}), the evaluation profile`)
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--once', 'evaluation profile: end after the journey is shown')
    .option('--no-upstream-check', 'start although a mail server does not answer yet')
    .action(async ({ config, once, upstreamCheck }: ServeOptions) => {
      const file = config ?? configInEnvironment() ?? (await existing(DEFAULT_CONFIG));
      const stop = stopSignal();
      if (file === null) await evaluate(stop, once === true);
      else await serve(file, stop, upstreamCheck);
    });
}

type ServeOptions = { config?: string; once?: true; upstreamCheck: boolean };

type Running = { gateway: Gateway; config: Config; log: Log };

async function serve(file: string, stop: AbortSignal, upstreamCheck: boolean): Promise<void> {
  const running = Promise.withResolvers<Running | null>();
  // From the first moment to the last: a signal that nobody takes would end the process with its keys open.
  const reloading = onReloadSignal(async () => {
    const parts = await running.promise;
    if (parts === null || stop.aborted) return;
    await parts.gateway.reloadKeys();
    await reloadPolicy(file, parts.config, parts.gateway, parts.log);
  });
  try {
    const config = await readConfig(file, (line) => process.stderr.write(`${line}\n`));
    if (upstreamCheck) await checkUpstreams(config);
    const log = createLog({ ...config.log, stream: process.stdout });
    const gateway = await started(startGateway(config, log, stop), stop);
    running.resolve(gateway === null ? null : { gateway, config, log });
    if (gateway === null) return;
    if (upstreamCheck) void tellServersOfQueue(config, log);
    try {
      await untilStopped(stop);
    } finally {
      await gateway.close();
    }
  } finally {
    running.resolve(null);
    reloading.stop();
  }
}

/** null: told to stop before it had started. */
async function started(starting: Promise<Gateway>, stop: AbortSignal): Promise<Gateway | null> {
  try {
    return await starting;
  } catch (error) {
    if (stop.aborted) return null;
    throw error;
  }
}

async function evaluate(stop: AbortSignal, once: boolean): Promise<void> {
  const say = (text: string) => process.stdout.write(text);
  say(
    'No configuration file: this is the evaluation profile, with throwaway keys and servers on this machine only.\n',
  );
  const startedAt = performance.now();
  const profile = await startEvaluationProfile();
  let gateway: Gateway | null = null;
  try {
    if (stop.aborted) return;
    const config = await readConfig(profile.configFile);
    gateway = await startGateway(config, createLog({ ...config.log, stream: process.stdout }));
    const ports = {
      submission: gateway.port('submission'),
      imap: gateway.port('imaps'),
      pop3: gateway.port('pop3s'),
    };
    const journey = await travel(profile, ports);
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    say(`Keys, servers, gateway and journey took ${seconds} s.\n\n${printJourney(journey)}\n`);
    if (once) return;
    say(printSettings(profile, ports));
    await untilStopped(stop);
    say('\nStopping …\n');
  } finally {
    await gateway?.close();
    await profile.stop();
  }
}

async function existing(file: string): Promise<string | null> {
  try {
    await access(file);
    return file;
  } catch (error) {
    // Not there is the one reason to go without: what cannot be looked at must not be passed over for throwaway keys.
    return error instanceof Error && 'code' in error && error.code === 'ENOENT' ? null : file;
  }
}
