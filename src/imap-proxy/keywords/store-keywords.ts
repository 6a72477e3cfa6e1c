import type { CommandContext } from '../commands/command-context.ts';
import { NumberSet } from '../search/number-set.ts';

const NOTHING: ReadonlySet<string> = new Set();

/**
 * Sets the keywords of messages that were shown for the first time, where nothing is on its way: within a command in which messages
 * may go (RFC 9051 §7.5.1). Flags are only added. What is not set now is set with a later command.
 *
 * @param whose `silent`: the client is leaving the mailbox, and is not told of flags that it has no use for any more
 */
export async function storeKeywords(
  { exchange, upstreamSide }: CommandContext,
  whose: 'told' | 'silent' = 'told',
): Promise<void> {
  const { views } = exchange.parts;
  const { keywords } = views;
  if (keywords === null) return;
  // What is on its way may show the first messages, and there is no later command.
  if (whose === 'silent') await exchange.waits.giveUp(exchange.idle());
  if (!exchange.isQuiet) return;
  for (const { keyword, uids } of keywords.take(views.permanentFlags)) {
    for (const set of NumberSet.of(uids).pieces(7_000)) {
      const verb = whose === 'silent' ? '+FLAGS.SILENT' : '+FLAGS';
      const { reply } = await upstreamSide.ask(`UID STORE ${set} ${verb} (${keyword})`, NOTHING);
      if (reply.status !== 'OK') return keywords.refused();
    }
  }
}
