import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { limits } from '../../../src/limits.ts';

/** smtp-server in front, nodemailer behind, the message passed on whole: the usual way to build a relay in Node. */
const [port, upstream] = process.argv.slice(2).map(Number);
const client = createTransport({
  host: '127.0.0.1',
  port: upstream ?? 0,
  pool: true,
  maxConnections: 10,
  maxMessages: Number.POSITIVE_INFINITY,
  ignoreTLS: true,
});
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ['STARTTLS', 'AUTH'],
  disableReverseLookup: true,
  size: limits.messageOctets,
  onData(stream, session, callback) {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const from = session.envelope.mailFrom === false ? '' : session.envelope.mailFrom.address;
      const to = session.envelope.rcptTo.map(({ address }) => address);
      client.sendMail({ envelope: { from, to }, raw: Buffer.concat(chunks) }).then(
        () => callback(),
        (error: Error) => callback(error),
      );
    });
  },
});
// The sink of a round that is over closes its connections; the next mail opens new ones.
server.on('error', () => undefined);
server.listen(port, '127.0.0.1');
process.once('SIGTERM', () => process.exit(0));
