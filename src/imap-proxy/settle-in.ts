import { SealgateError } from '../errors.ts';
import type { Telling } from './capability.ts';
import { type ClientId, idArgument } from './client-id.ts';
import { capabilityList, cleanStatus, readServerLine } from './server-line.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { Wire } from './wire.ts';

const SETTLE_MS = 30_000;

/**
 * What is said to the upstream between a login and the session: who the client is, as it said itself before the login. What the
 * upstream says meanwhile and is meant for the client goes to the client. Throws SealgateError `imap.protocol`.
 */
export async function introduce(
  upstream: UpstreamConnection,
  clientId: ClientId | null,
  client: Wire,
  telling: Telling,
): Promise<void> {
  const argument = clientId === null ? 'NIL' : idArgument(clientId);
  if (argument === 'NIL' || !upstream.capabilities.has('ID')) return;
  await asked(upstream, `S4 ID ${argument}`, client, telling);
}

/** Compresses the connection to an upstream that offers it (RFC 4978). */
export async function compressUpstream(
  upstream: UpstreamConnection,
  client: Wire,
  telling: Telling,
): Promise<void> {
  if (!upstream.capabilities.has('COMPRESS=DEFLATE')) return;
  if (await asked(upstream, 'S5 COMPRESS DEFLATE', client, telling)) upstream.wire.compress();
}

/** Sends a command of the gateway's own; true: OK. */
async function asked(
  upstream: UpstreamConnection,
  command: string,
  client: Wire,
  telling: Telling,
): Promise<boolean> {
  const { wire } = upstream;
  const [tag = ''] = command.split(' ');
  const timer = setTimeout(() => wire.destroy(), SETTLE_MS);
  wire.write(`${command}\r\n`);
  try {
    for (;;) {
      const event = await wire.next();
      if (event === null) throw protocol('it closed the connection');
      if (event.type !== 'line' || !event.first) continue;
      const line = readServerLine(event.octets);
      if (line.kind === 'tagged' && line.tag === tag) return line.status === 'OK';
      if (line.kind === 'tagged' || line.kind === 'continuation') throw protocol('an answer to nothing');
      const list = capabilityList(event.octets);
      if (list !== null) upstream.capabilities = new Set(list.map((each) => each.toUpperCase()));
      if (line.kind === 'status') client.write(cleanStatus(event.octets, telling));
    }
  } finally {
    clearTimeout(timer);
  }
}

function protocol(reason: string): SealgateError {
  return new SealgateError({
    code: 'upstream.refused',
    publicText: 'The mail server was not understood. Connect again.',
    duration: 'temporary',
    reason,
  });
}
