import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { Contender } from '../benchmark.ts';

/** RSA-2048 signatures alone, one process per core: no signing gateway can be faster on this machine. */
export function opensslSpeedContender(): Contender {
  return {
    name: 'openssl speed rsa2048, one core',
    role: 'limit',
    async start() {
      return {
        async run(size) {
          const seconds = size === 'quick' ? '1' : '3';
          const { stdout } = await runProgram('openssl', ['speed', '-mr', '-seconds', seconds, 'rsa2048']);
          // Machine-readable line: +F2:index:bits:signatures a second:verifications a second
          const rate = Number(/^\+F2:\d+:2048:([\d.]+):/m.exec(stdout.toString())?.[1]);
          if (!(rate > 1)) throw new Error('openssl speed printed no figure for rsa2048');
          return { units: rate, seconds: 1, cpuSeconds: 1 };
        },
        // Nothing runs between rounds.
        stop: () => Promise.resolve(),
      };
    },
  };
}
