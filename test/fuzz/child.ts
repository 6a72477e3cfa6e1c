import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import {
  type CampaignEvents,
  type CampaignFinding,
  type CampaignOptions,
  type CampaignStatus,
  runCampaign,
} from './campaign.ts';
import { Coverage } from './coverage.ts';
import { ProgressWriter } from './progress-file.ts';
import { Runner } from './run-input.ts';
import type { FuzzTarget } from './target.ts';

/** The fuzzing process: it is told by its parent what to do and tells it what it found. */

export type ChildTask = {
  /** Module that exports `targets`. */
  targetsFile: string;
  target: string;
  progressFile: string;
} & (
  | { kind: 'campaign'; sourceFolder: string; options: CampaignOptions }
  | { kind: 'once'; inputFile: string }
);

/** Octets go over as base64. */
export type ChildMessage =
  | { kind: 'ready' }
  | { kind: 'status'; status: CampaignStatus }
  | { kind: 'finding'; finding: Omit<CampaignFinding, 'input'> & { input: string | null } }
  | { kind: 'done'; status: CampaignStatus }
  | { kind: 'once-done'; misbehaviour: string | null };

process.once('message', (task: ChildTask) => {
  void work(task).then(
    () => process.disconnect?.(),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
      process.exit(1);
    },
  );
});
send({ kind: 'ready' });

async function work(task: ChildTask): Promise<void> {
  const progress = new ProgressWriter(task.progressFile);
  if (task.kind === 'once') await runFile(task, progress);
  else await runTarget(task, progress);
  progress.close();
}

type Of<Kind> = Extract<ChildTask, { kind: Kind }>;

async function runFile(task: Of<'once'>, progress: ProgressWriter): Promise<void> {
  const target = await targetOf(task);
  const input = readFileSync(task.inputFile);
  const prepared = await target.prepare();
  const found = await new Runner(target, prepared, (octets) => progress.begins(octets)).run(input, true);
  prepared.close?.();
  send({ kind: 'once-done', misbehaviour: found === null ? null : `${found.kind}: ${found.text}` });
}

async function runTarget(task: Of<'campaign'>, progress: ProgressWriter): Promise<void> {
  // Before the code under test is loaded: what was compiled earlier has no counters.
  const coverage = new Coverage(task.sourceFolder);
  const target = await targetOf(task);
  const events: CampaignEvents = {
    status: (status) => send({ kind: 'status', status }),
    finding: (finding) =>
      send({ kind: 'finding', finding: { ...finding, input: finding.input?.toString('base64') ?? null } }),
  };
  send({ kind: 'done', status: await runCampaign(target, task.options, { coverage, progress }, events) });
}

async function targetOf({ targetsFile, target }: ChildTask): Promise<FuzzTarget> {
  const { targets }: { targets: readonly FuzzTarget[] } = await import(pathToFileURL(targetsFile).href);
  const found = targets.find(({ name }) => name === target);
  if (found === undefined) throw new Error(`no target ${target}`);
  return found;
}

function send(message: ChildMessage): void {
  process.send?.(message);
}
