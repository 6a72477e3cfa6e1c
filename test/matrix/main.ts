// The matrix of interoperation: every algorithm that another program knows, in both directions.
// Run by `npm run interop`; `npm run interop -- --help` says how.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BouncyCastle } from './bouncy-castle.ts';
import { Gpgsm } from './gpgsm.ts';
import { judge } from './judge.ts';
import { Keytool } from './keytool.ts';
import { Nss } from './nss.ts';
import { OpenSsl } from './openssl.ts';
import { People } from './people.ts';
import { ROWS } from './rows.ts';
import { Sealgate } from './sealgate.ts';
import type { Program } from './specification.ts';
import { asText, count, LEGEND, type Run, reasons } from './table.ts';
import { writeDocument } from './write-document.ts';

const PROGRAMS = ['openssl', 'gpgsm', 'nss', 'bouncy-castle', 'keytool'] as const;
type ProgramName = (typeof PROGRAMS)[number];

const USAGE = `npm run interop -- [options]

  --only NAME     only this program, several times: ${PROGRAMS.join(', ')}
  --rows TEXT     only rows with this text in their name or group
  --reasons       say for every - in the table why
  --json FILE     the whole run as JSON
  --write         write the table of this run into docs/interoperability.md
`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [...PROGRAMS] },
    rows: { type: 'string', default: '' },
    reasons: { type: 'boolean', default: false },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const unknown = values.only.find((name) => !PROGRAMS.some((known) => known === name));
  if (values.help || unknown !== undefined) {
    if (unknown !== undefined) process.stderr.write(`There is no program ${unknown} here.\n`);
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  if (values.write && (values.rows !== '' || values.only.length < PROGRAMS.length)) {
    process.stderr.write('The document is about all rows and programs: leave out --rows and --only.\n');
    return 2;
  }
  const rows = ROWS.filter(({ name, group }) =>
    `${group} ${name}`.toLowerCase().includes(values.rows.toLowerCase()),
  );
  const run = await runAll(rows);
  process.stdout.write(`${asText(run)}\n${LEGEND}\n`);
  for (const { name, version } of run.programs) process.stdout.write(`${name} ${version}\n`);
  if (values.reasons) print(run, 'not-offered');
  print(run, 'failed');
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(run, null, 2)}\n`);
  if (values.write) writeDocument(run);
  const failed = count(run, 'failed');
  const others = `${count(run, 'not-offered')} not offered, ${count(run, 'not-ours')} not ours`;
  process.stdout.write(`\n${count(run, 'ok')} ok, ${others}, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

function print(run: Run, outcome: 'not-offered' | 'failed'): void {
  const verb = outcome === 'failed' ? 'FAILED' : 'not offered';
  for (const { program, lines } of reasons(run, outcome)) {
    if (lines.length > 0)
      process.stdout.write(`\n${program}, ${verb}:\n${lines.map((line) => `  ${line}\n`).join('')}`);
  }
}

async function runAll(rows: typeof ROWS): Promise<Run> {
  const people = new People();
  const opened: Program[] = [];
  try {
    const ours = new Sealgate(people, ourVersion());
    opened.push(ours);
    const programs: Program[] = [];
    for (const name of PROGRAMS.filter((known) => values.only.includes(known))) {
      process.stderr.write(`starting ${name}\n`);
      const program = await start(name, people);
      programs.push(program);
      opened.push(program);
    }
    const results: Run['rows'] = [];
    let group = '';
    for (const row of rows) {
      if (row.group !== group) process.stderr.write(`${results.length}/${rows.length} ${row.group}\n`);
      group = row.group;
      results.push(await judge(row, ours, programs, people));
    }
    const all = [ours, ...programs].map(({ name, version }) => ({ name, version }));
    return { programs: all, rows: results };
  } finally {
    await Promise.allSettled(opened.map((program) => program.close()));
    people.remove();
  }
}

async function start(name: ProgramName, people: People): Promise<Program> {
  switch (name) {
    case 'openssl':
      return new OpenSsl(people);
    case 'gpgsm':
      return new Gpgsm(people);
    case 'nss':
      return new Nss(people);
    case 'bouncy-castle':
      return BouncyCastle.start(people);
    case 'keytool':
      return new Keytool(people);
  }
}

function ourVersion(): string {
  const file = join(import.meta.dirname, '..', '..', 'package.json');
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return `${version} on Node ${process.versions.node}`;
}
