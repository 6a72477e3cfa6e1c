import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asMarkdown, count, notOurs, type Run, reasons } from './table.ts';

const DOCUMENT = join(import.meta.dirname, '..', '..', 'docs', 'interoperability.md');
const BEGIN = '<!-- What follows is written by npm run interop -- --write -->\n';

/** Puts a run at the end of docs/interoperability.md, after the mark. */
export function writeDocument(run: Run): void {
  const text = readFileSync(DOCUMENT, 'utf8');
  const at = text.indexOf(BEGIN);
  if (at < 0) throw new Error('docs/interoperability.md has lost its mark');
  const versions = run.programs.map(({ name, version }) => `${name} ${version}`).join(', ');
  const sums = `${count(run, 'ok')} ok, ${count(run, 'not-offered')} not offered, ${count(run, 'not-ours')} not ours, ${count(run, 'failed')} failed`;
  const cannot = reasons(run, 'not-offered')
    .filter(({ lines }) => lines.length > 0)
    .map(({ program, lines }) => `### ${program}\n\n${list(lines)}`);
  const parts = [
    `## The run\n\n${versions}.\n\n${sums}.`,
    asMarkdown(run),
    `## What we never write, or never read\n\n${list(notOurs(run))}`,
    '## What each program does not know, in its own words',
    ...cannot,
  ];
  writeFileSync(
    DOCUMENT,
    `${text.slice(0, at)}${BEGIN}\n${parts
      .join('\n\n')
      .replace(/\n{3,}/g, '\n\n')
      .trimEnd()}\n`,
  );
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${line.replace(/([<>|*])/g, '\\$1')}`).join('\n');
}
