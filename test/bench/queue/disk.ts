import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Contender } from '../benchmark.ts';
import { MAIL_OCTETS, mailsOf } from '../relay/load.ts';

/** What the disk does when it has nothing else to do: as much as one mail has, and the word that it is there, again and again. */
export function diskContender(): Contender {
  return {
    name: 'the disk: write and fdatasync',
    role: 'limit',
    async start() {
      const folder = mkdtempSync(join(tmpdir(), 'sealgate-bench-'));
      const file = openSync(join(folder, 'disk'), 'w');
      const octets = Buffer.alloc(MAIL_OCTETS, 'mail');
      return {
        async run(size) {
          const units = mailsOf(size, 2_000, 10_000);
          const before = performance.now();
          for (let i = 0; i < units; i++) {
            writeSync(file, octets);
            fdatasyncSync(file);
          }
          return { units, seconds: (performance.now() - before) / 1000, cpuSeconds: null };
        },
        async stop() {
          closeSync(file);
          rmSync(folder, { recursive: true });
        },
      };
    },
  };
}
