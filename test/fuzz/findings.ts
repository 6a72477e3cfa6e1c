import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Finding } from './supervise.ts';

/**
 * Writes a finding to a folder of its own: the input as octets and as hex, what was seen, and how to see it again.
 *
 * @returns the folder
 */
export function writeFinding(folder: string, finding: Finding): string {
  const { target, kind, key, text, input, seed } = finding;
  const hash = createHash('sha256')
    .update(key)
    .update(input ?? '')
    .digest('hex')
    .slice(0, 12);
  const own = join(folder, target, `${kind}-${hash}`);
  mkdirSync(own, { recursive: true });
  const inputFile = join(own, 'input');
  const again =
    input === null
      ? `npm run fuzz -- --seed ${seed} ${target}`
      : `npm run fuzz -- --input ${inputFile} ${target}`;
  if (input !== null) {
    writeFileSync(inputFile, input);
    writeFileSync(`${inputFile}.hex`, `${input.toString('hex').replace(/.{1,64}/g, '$&\n')}`);
  }
  writeFileSync(
    join(own, 'finding.txt'),
    `${target}: ${kind}\n${key}\n\n${text}\n\nseed ${seed}\nagain: ${again}\n`,
  );
  return own;
}
