import type { Benchmark } from '../benchmark.ts';
import { diskContender } from './disk.ts';
import { queueContender } from './gateway.ts';

/** How fast mail is taken that is durable before its 250, against how fast this disk makes anything durable. */
export function queueAcceptance(): Benchmark {
  return {
    name: 'queue',
    unit: 'mail',
    about:
      '10 KB mails, 50 persistent connections, delivery: queue, nothing delivered meanwhile; the disk: 10 KB and fdatasync, one after another, in one file',
    contenders: [queueContender({ queued: 0 }), queueContender({ queued: 100_000 }), diskContender()],
  };
}
