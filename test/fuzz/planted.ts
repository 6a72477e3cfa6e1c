import { SealgateError } from '../../src/errors.ts';
import { type FuzzTarget, holds } from './target.ts';

/** Parsers with a mistake each, so that it is known what the fuzzer finds; and one without. */

const refused = (): SealgateError =>
  new SealgateError({ code: 'planted.malformed', publicText: 'No.', duration: 'permanent' });

const seeds = [Buffer.from('Subject: hello\r\n\r\nbody\r\n')];
const kept: unknown[] = [];

/** One step after another has to be found, which chance alone does not. */
function stepByStep(input: Buffer): number {
  if (input[0] !== 0x53) return 0;
  if (input[1] !== 0x75) return 1;
  if (input[2] !== 0x7a) return 2;
  if (input[3] !== 0x79) return 3;
  return (null as unknown as { length: number }).length;
}

function planted(name: string, run: (input: Buffer) => unknown, more: Partial<FuzzTarget> = {}): FuzzTarget {
  return { name, form: 'lines', allowed: ['planted.'], prepare: () => ({ seeds, run }), ...more };
}

export const targets: readonly FuzzTarget[] = [
  planted('sound', (input) => {
    if (input.includes('x')) throw refused();
    return input.toString('latin1').split('\n').length;
  }),
  planted(
    'throws-on-token',
    (input) => {
      if (input.includes('Content-Type:')) throw new TypeError('planted');
      return null;
    },
    { dictionary: ['Content-Type:'] },
  ),
  planted('throws-behind-steps', stepByStep, {
    form: 'octets',
    prepare: () => ({ seeds: [Buffer.from('abcd')], run: stepByStep }),
  }),
  planted('code-of-another', (input) => {
    if (input.includes(0))
      throw new SealgateError({ code: 'other', publicText: 'No.', duration: 'permanent' });
    return null;
  }),
  planted('violates', (input) => holds(!input.includes('\n\n'), 'no two line ends')),
  planted('loops', (input) => {
    while (input.includes('\r\r'));
    return null;
  }),
  planted('never-answers', (input) => (input.includes('\r\r') ? new Promise(() => undefined) : null)),
  planted('dies', (input) => {
    if (input.includes('\r\r')) process.abort();
    return null;
  }),
  planted(
    'quadratic',
    (input) => {
      let count = 0;
      for (let i = 0; i < input.length; i++) {
        if (input[i] !== 0x20) continue;
        for (let j = i; j < input.length && input[j] === 0x20; j++) count++;
      }
      return count;
    },
    { budget: { ms: 5, usPerOctet: 1 }, maxOctets: 4_096, dictionary: [' '] },
  ),
  planted('leaks', (input) => {
    kept.push({ text: input.toString('latin1'), of: Array.from({ length: 200 }, (_, i) => ({ i })) });
    return null;
  }),
  planted('writes-to-input', (input) => {
    if (input[0] === 0x53 && input.includes('\n')) input.writeUInt8(0, 0);
    return null;
  }),
  planted('reads-beyond', (input) => {
    const whole = Buffer.from(input.buffer, input.byteOffset, input.length + 1);
    return whole[input.length];
  }),
];
