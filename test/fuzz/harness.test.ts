import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { writeFinding } from './findings.ts';
import { describeGrowth, growthOf } from './growth.ts';
import { minimise } from './minimise.ts';
import { type InputForm, mutate } from './mutate.ts';
import { Random } from './random.ts';
import { type Finding, runOnce, supervise } from './supervise.ts';

const targetsFile = fileURLToPath(new URL('./planted.ts', import.meta.url));
const sourceFolder = fileURLToPath(new URL('.', import.meta.url)).replace(/\/$/, '');

/** Ends with the first finding. By runs and not by the clock: a busy machine is slower and finds the same. */
async function fuzz(target: string, { runs = 1_000_000, hangMs = 30_000 } = {}): Promise<Finding[]> {
  const findings: Finding[] = [];
  await supervise(
    {
      targetsFile,
      sourceFolder,
      target,
      seed: 7,
      until: { runs },
      hangMs,
      minimiseMs: 1_000,
      onlyFirst: true,
    },
    { finding: (finding) => findings.push(finding) },
  );
  return findings;
}

const kinds = (findings: readonly Finding[]): string[] => [...new Set(findings.map(({ kind }) => kind))];

describe('what is planted is found', { concurrent: true, timeout: 240_000 }, () => {
  it('nothing, where there is nothing', async () => {
    expect(await fuzz('sound', { runs: 10_000 })).toEqual([]);
  });

  it('an exception on a word, with a small input that brings it about again', async () => {
    const [finding] = await fuzz('throws-on-token');
    expect(finding?.kind).toBe('error');
    expect(finding?.key).toMatch(/^TypeError at fuzz\/planted\.ts:\d+$/);
    expect(finding?.input?.toString('latin1')).toBe('Content-Type:');
    if (finding?.input == null) throw new Error('no input');
    expect(await runOnce({ targetsFile, target: 'throws-on-token', hangMs: 2_000 }, finding.input)).toMatch(
      /^error: TypeError: planted/,
    );
    const other = Buffer.from('Subject: x\r\n');
    expect(await runOnce({ targetsFile, target: 'throws-on-token', hangMs: 2_000 }, other)).toBeNull();
  });

  it('an exception that only coverage leads to', async () => {
    const [finding] = await fuzz('throws-behind-steps');
    expect(finding?.input?.toString('latin1')).toBe('Suzy');
  });

  it('an error that is not the parser’s own, and a property that does not hold', async () => {
    expect(kinds(await fuzz('code-of-another'))).toEqual(['error']);
    const [violation] = await fuzz('violates');
    expect(violation?.text).toContain('no two line ends');
    expect(violation?.input?.toString('latin1')).toBe('\n\n');
  });

  it('a loop without end and an answer that never comes', async () => {
    const [loop] = await fuzz('loops', { hangMs: 500 });
    expect(loop?.kind).toBe('hang');
    expect(loop?.input?.includes('\r\r')).toBe(true);
    const [never] = await fuzz('never-answers');
    expect(never?.input?.includes('\r\r')).toBe(true);
  });

  it('the death of the process', async () => {
    const [death] = await fuzz('dies');
    expect(death?.kind).toBe('crash');
    expect(death?.input?.includes('\r\r')).toBe(true);
  });

  it('time that grows with the square of the input', async () => {
    expect(kinds(await fuzz('quadratic'))).toEqual(['slow']);
  });

  it('memory that is kept', async () => {
    const [leak] = await fuzz('leaks', { runs: 20_000 });
    expect(leak).toMatchObject({ kind: 'growth', input: null });
  });

  it('an input that is written to, and octets that are not its own', async () => {
    expect(kinds(await fuzz('writes-to-input'))).toEqual(['input-changed']);
    expect(kinds(await fuzz('reads-beyond'))).toEqual(['other-answer']);
  });
});

describe('mutations', () => {
  const forms: readonly InputForm[] = ['octets', 'tlv', 'lines', 'mail'];
  const input = Buffer.from('30080c0561626364653000', 'hex');

  it('are the same for the same seed, keep to the bound and leave their input alone', () => {
    const before = Buffer.from(input);
    for (const form of forms) {
      const run = (seed: number): string[] => {
        const random = new Random(seed);
        const context = { random, form, dictionary: [Buffer.from('word')], other: input, maxOctets: 500 };
        return Array.from({ length: 2_000 }, () => {
          const mutant = mutate(input, context);
          expect(mutant.length).toBeLessThanOrEqual(500);
          return mutant.toString('hex');
        });
      };
      const once = run(3);
      expect(run(3)).toEqual(once);
      expect(run(4)).not.toEqual(once);
      expect(new Set(once).size).toBeGreaterThan(500);
    }
    expect(input).toEqual(before);
  });
});

describe('a finding', () => {
  it('is made small without losing what it does', async () => {
    const input = Buffer.from(`${'x'.repeat(300)}AB${'y'.repeat(300)}C`);
    const does = async (candidate: Buffer): Promise<boolean> => /A.*C/.test(candidate.toString());
    expect((await minimise(input, does, performance.now() + 5_000)).toString()).toBe('AC');
  });

  it('is written down with its input and the command that shows it again', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealgate-fuzz-'));
    try {
      const finding = {
        target: 't',
        kind: 'error',
        key: 'k',
        text: 'x',
        input: Buffer.from([1, 255]),
        seed: 5,
      };
      const own = writeFinding(folder, finding);
      expect(readFileSync(join(own, 'input'))).toEqual(finding.input);
      expect(readFileSync(join(own, 'input.hex'), 'latin1').trim()).toBe('01ff');
      const text = readFileSync(join(own, 'finding.txt'), 'utf8');
      expect(text).toContain(`npm run fuzz -- --input ${join(own, 'input')} t`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('growth', () => {
  const mebi = 1024 * 1024;
  const samples = (heap: (i: number) => number) =>
    Array.from({ length: 40 }, (_, i) => ({ runs: i, heapOctets: heap(i) * mebi, rssOctets: 100 * mebi }));

  it('is what goes on after the beginning, and more than caches keep', () => {
    expect(describeGrowth(growthOf(samples((i) => 20 + i)), 0)).toContain('20.0 MiB');
    expect(describeGrowth(growthOf(samples((i) => 20 + i)), 32 * mebi)).toBeNull();
    expect(describeGrowth(growthOf(samples((i) => Math.min(40, 20 + i * 3))), 0)).toBeNull();
    expect(describeGrowth(growthOf(samples((i) => 20 + (i % 3))), 0)).toBeNull();
    expect(growthOf(samples(() => 20).slice(0, 5))).toBeNull();
  });
});
