import type { Cell, RowResult } from './judge.ts';

/** A run: who took part, and every row in order. */
export type Run = { programs: { name: string; version: string }[]; rows: RowResult[] };

const SIGNS: Record<Cell['outcome'], string> = {
  ok: 'ok',
  'not-offered': '-',
  'not-ours': '.',
  failed: 'FAILED',
};

export const LEGEND =
  'ok: made by one and read by the other, and refused when changed   -: the other program does not know it   ' +
  '.: we never make or read it';

/** The table for a terminal: a block for each group, two columns for each program that the group is about. */
export function asText(run: Run): string {
  const blocks = groupsOf(run.rows).map(([group, rows]) => {
    const programs = programsOf(rows);
    const width = Math.max(group.length, ...rows.map(({ row }) => row.name.length));
    const head = programs.map((name) => name.padEnd(15)).join('');
    const directions = programs.map(() => '-> us   us ->  ').join('');
    const lines = rows.map(({ row, cells }) => {
      const signs = cells.map(({ toUs, fromUs }) => `${sign(toUs).padEnd(8)}${sign(fromUs).padEnd(7)}`);
      return `${row.name.padEnd(width)}  ${signs.join('')}`.trimEnd();
    });
    const title = `${group.padEnd(width)}  ${head.trimEnd()}\n${' '.repeat(width)}  ${directions.trimEnd()}`;
    return `${title}\n${lines.join('\n')}\n`;
  });
  return blocks.join('\n');
}

/** The same for a document. */
export function asMarkdown(run: Run): string {
  const blocks = groupsOf(run.rows).map(([group, rows]) => {
    const programs = programsOf(rows);
    const head = ['', ...programs.flatMap((name) => [`${name} → us`, `us → ${name}`])];
    const lines = rows.map(({ row, cells }) => {
      const signs = cells.flatMap(({ toUs, fromUs }) => [sign(toUs), sign(fromUs)]);
      return `| ${[row.name, ...signs].join(' | ')} |`;
    });
    return `### ${group}\n\n| ${head.join(' | ')} |\n|${'---|'.repeat(head.length)}\n${lines.join('\n')}\n`;
  });
  return blocks.join('\n');
}

/** Every cell with a reason, as lines; `wanted` chooses. */
export function reasons(run: Run, wanted: Cell['outcome']): { program: string; lines: string[] }[] {
  return run.programs.map(({ name }) => {
    const byReason = new Map<string, string[]>();
    for (const { row, cells } of run.rows) {
      const cell = cells.find(({ program }) => program === name);
      for (const [what, one] of [
        [`${name} → us`, cell?.toUs],
        [`us → ${name}`, cell?.fromUs],
      ] as const) {
        if (one?.outcome !== wanted || one.outcome === 'ok') continue;
        const key = `${what}: ${one.reason}`;
        byReason.set(key, [...(byReason.get(key) ?? []), row.name]);
      }
    }
    return { program: name, lines: [...byReason].map(([reason, rows]) => `${rows.join('; ')}: ${reason}`) };
  });
}

/** What we never make or read, each once. */
export function notOurs(run: Run): string[] {
  const found = new Map<string, string[]>();
  for (const { row } of run.rows) {
    for (const [what, reason] of [
      ['never written', row.neverWritten],
      ['never read', row.neverRead],
    ] as const) {
      if (reason === undefined) continue;
      const key = `${what}: ${reason}`;
      found.set(key, [...(found.get(key) ?? []), row.name]);
    }
  }
  return [...found].map(([reason, rows]) => `${reason} (${rows.join('; ')})`);
}

export function count(run: Run, outcome: Cell['outcome']): number {
  return run.rows
    .flatMap(({ cells }) => cells.flatMap(({ toUs, fromUs }) => [toUs, fromUs]))
    .filter((cell) => cell.outcome === outcome).length;
}

function sign(cell: Cell): string {
  return SIGNS[cell.outcome];
}

function groupsOf(rows: readonly RowResult[]): [group: string, rows: RowResult[]][] {
  const groups = new Map<string, RowResult[]>();
  for (const one of rows) {
    // Certificates only and key files are not for all programs: a table has the columns of its first row.
    groups.set(one.row.group, [...(groups.get(one.row.group) ?? []), one]);
  }
  return [...groups];
}

function programsOf(rows: readonly RowResult[]): string[] {
  return rows[0]?.cells.map(({ program }) => program) ?? [];
}
