import type { Config } from '../config/load.ts';
import { loadPolicy } from '../config/load-policy.ts';
import { formatProblem } from '../config/problem.ts';
import { SealgateError } from '../errors.ts';
import { quoted } from '../policy/quoted.ts';
import type { RecordedMail, Treatment } from '../policy/recorded-mail.ts';
import { isDifferent, type ReplayedRecipient, replayMail } from '../policy/replay.ts';
import { SqliteDecisions } from '../store/decision-records.ts';
import { withDecisionRows } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';

export type ReplayOptions = { rules: string; days?: string; config?: string; json?: true };

/** The shape of `policy replay --json` (docs/policy.md). */
export type Replay = {
  days: number;
  /** Mails that were decided again. */
  mails: number;
  /** Those of which a recipient would be treated otherwise, or nobody can tell. */
  differences: readonly {
    mail: string;
    at: string;
    from: string;
    recipients: readonly ReplayedRecipient[];
  }[];
};

/** `sealgate policy replay`: the decisions of the last days, by other rules. Changes nothing. */
export async function replayPolicy({ rules: file, days, config, json }: ReplayOptions): Promise<void> {
  const running = await readConfig(configPath(config));
  const loaded = await loadPolicy(file, running.submission);
  if (loaded.kind === 'invalid') {
    throw new SealgateError({
      code: 'config.invalid',
      duration: 'permanent',
      publicText: `The rules in ${file} cannot be used.\n${loaded.problems.map((one) => `  ${formatProblem(one)}`).join('\n')}`,
    });
  }
  const replay = await replayed(running, daysFrom(days, running), loaded.policy);
  const text = json === true ? JSON.stringify(replay, null, 2) : replayLines(replay).join('\n');
  process.stdout.write(`${text}\n`);
}

async function replayed(running: Config, days: number, candidate: Config['policy']): Promise<Replay> {
  return withDecisionRows(running, { days, mails: 0, differences: [] }, async (store) => {
    const records = new SqliteDecisions(store, () => new Date(), running.policy.recordDays);
    const differences: Replay['differences'][number][] = [];
    let mails = 0;
    for await (const { at, mail, record } of records.since(days)) {
      mails++;
      // Written by this program, in a folder of its own.
      const recorded = JSON.parse(record) as RecordedMail;
      const recipients = replayMail(recorded, candidate.rules, candidate.groups).filter(isDifferent);
      if (recipients.length > 0) {
        differences.push({ mail, at: at.toISOString(), from: recorded.from, recipients });
      }
    }
    return { days, mails, differences };
  });
}

function daysFrom(text: string | undefined, { policy }: Config): number {
  if (policy.recordDays === 0) {
    throw new SealgateError({
      code: 'command.replay',
      duration: 'permanent',
      publicText:
        'No decisions are kept: set policy.recordDays in the configuration, and restart the gateway.',
    });
  }
  if (text === undefined) return policy.recordDays;
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text);
  throw new SealgateError({
    code: 'command.days',
    duration: 'permanent',
    publicText: `${JSON.stringify(text)} is no number of days; a whole number from 1 on is expected.`,
  });
}

export function replayLines({ days, mails, differences }: Replay): string[] {
  const lines = differences.flatMap(({ mail, at, from, recipients }) => [
    `${at} ${mail} from ${quoted(from)}`,
    ...recipients.flatMap(({ address, was, now }) => [
      `  to ${quoted(address)}`,
      `    was: ${treatmentText(was)}`,
      `    would be: ${treatmentText(now)}`,
    ]),
  ]);
  const count = `${differences.length} of ${mails} mails of the last ${days} days would be treated otherwise, or nobody can tell.`;
  return [...lines, count];
}

function treatmentText(treatment: Treatment | { kind: 'unknown'; rule: string }): string {
  switch (treatment.kind) {
    case 'send': {
      const { signed, encrypted, subject, requireTls, stripped, pinned } = treatment;
      return [
        signed === null ? 'not signed' : `signed (${signed})`,
        encrypted === null
          ? 'not encrypted'
          : `encrypted (${encrypted}, Subject ${subject === 'keep' ? 'readable' : 'hidden'})`,
        ...demandTexts({ requireTls, stripped, pinned }),
        ...archiveText(treatment),
        ruleText(treatment),
      ].join(', ');
    }
    case 'hold': {
      const { signed, ask, introduce, minTrust, subject, requireTls, stripped, pinned } = treatment;
      return [
        signed === null ? 'waiting, not signed' : `waiting, signed (${signed})`,
        `for a certificate (${minTrust}, Subject ${subject === 'keep' ? 'readable' : 'hidden'})`,
        ...(ask ? ['its sender is asked'] : []),
        ...(introduce ? ['with an introduction'] : []),
        ...demandTexts({ requireTls, stripped, pinned }),
        ...archiveText(treatment),
        ruleText(treatment),
      ].join(', ');
    }
    case 'as-is':
      return [
        'as the mail program protected it',
        ...(treatment.requireTls ? ['by TLS only'] : []),
        ...archiveText(treatment),
        ruleText(treatment),
      ].join(', ');
    case 'refuse':
      return `refused (${treatment.duration}, ${treatment.enhancedCode}), ${ruleText(treatment)}`;
    case 'unknown':
      return `unknown: what the rule ${treatment.rule} looks at was not kept, since no rule looked at it then`;
  }
}

function demandTexts(of: { requireTls: boolean; stripped: boolean; pinned: boolean }): string[] {
  return [
    ...(of.requireTls ? ['by TLS only'] : []),
    ...(of.stripped ? ['without its tags'] : []),
    ...(of.pinned ? ['by the algorithms of the rule'] : []),
  ];
}

function archiveText({ appendTo }: { appendTo?: string }): string[] {
  return appendTo === undefined ? [] : [`a copy into ${appendTo}`];
}

function ruleText({ rule }: { rule: string | null }): string {
  return rule === null ? 'no rule' : `rule ${rule}`;
}
