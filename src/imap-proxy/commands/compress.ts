import type { CommandHandler } from './command-context.ts';

/**
 * COMPRESS (RFC 4978): between the client and the gateway; what is between the gateway and the mail server is that connection's own
 * affair. Octets that a client sends before it has its answer are neither surely plain nor surely compressed: then it stays as it is.
 */
export const compress: CommandHandler = async ({ exchange, refuse, without }, event, { tag, argument }) => {
  const { client } = exchange.parts;
  if (event.literal !== null || !/^DEFLATE$/i.test(argument)) {
    return await refuse(event, tag, 'BAD', 'DEFLATE is the only compression');
  }
  if (client.compressed)
    return await refuse(event, tag, 'NO', '[COMPRESSIONACTIVE] DEFLATE is active already');
  await without(exchange.idle());
  if (client.buffered > 0) {
    return await refuse(event, tag, 'NO', '[CLIENTBUG] Nothing may follow COMPRESS before its answer');
  }
  await exchange.voice.turn(() => {
    client.write(`${tag} OK DEFLATE active\r\n`);
    client.compress();
  });
  return 'goes-on';
};
