import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { Contender } from '../benchmark.ts';
import { type Cores, onCores } from './cores.ts';

/** RSA-2048 signatures alone, one process for each of the cores, which do nothing else: no gateway can sign more on them. */
export function opensslSpeedContender(cores: Cores): Contender {
  return {
    name: `openssl speed rsa2048, ${cores.length} of the cores`,
    role: 'limit',
    async start() {
      return {
        async run(size) {
          const seconds = size === 'quick' ? '1' : '3';
          const speed = ['speed', '-mr', '-seconds', seconds, '-multi', String(cores.length), 'rsa2048'];
          const { stdout } = await runProgram(...onCores(cores, 'openssl', speed));
          // Machine-readable lines: of each process `+F2:…`, then of all together `+F2:index:bits:signatures a second:verifications`.
          const rate = Number(/^\+F2:\d+:2048:([\d.]+):/m.exec(stdout.toString())?.[1]);
          if (!(rate > 1)) throw new Error('openssl speed printed no figure for rsa2048');
          return { units: rate, seconds: 1, cpuSeconds: cores.length };
        },
        // Nothing runs between rounds.
        stop: () => Promise.resolve(),
      };
    },
  };
}
