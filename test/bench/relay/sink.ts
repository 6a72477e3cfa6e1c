import type { Contender } from '../benchmark.ts';
import { mailsOf, relayRound, startSink } from './load.ts';

/** smtp-source straight into smtp-sink: what the two ends can do with nobody between. */
export function sinkContender(): Contender {
  return {
    name: 'smtp-sink, nobody between',
    role: 'limit',
    async start() {
      const sink = await startSink();
      return {
        run: (size) => relayRound(sink.port, sink, mailsOf(size, 4_000, 20_000), null),
        stop: () => sink.stop(),
      };
    },
  };
}
