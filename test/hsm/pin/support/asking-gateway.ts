import { KeyClient } from '../../../../src/hsm/client/key-client.ts';
import type { TokenSource } from '../../../../src/hsm/source-kinds.ts';

/** The gateway's side of a token whose PIN is being asked for, in a process of its own: SIGTERM closes it. */

const place: TokenSource = JSON.parse(process.argv[2] ?? '');
const client = KeyClient.start({
  source: 'keys',
  place,
  refusals: { has: () => false, add: () => undefined },
  log: { write: () => undefined },
});
process.once('SIGTERM', () => void client.close());
await client.settled;
// Any key: it is the token's PIN that is asked for.
const operation = { kind: 'agree', key: '00'.repeat(32), originator: Buffer.alloc(0) } as const;
await client.perform(operation).catch(() => undefined);
