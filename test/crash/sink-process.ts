import { openSync, writeSync } from 'node:fs';
import { SMTPServer } from 'smtp-server';

/**
 * The mail server at the end: whatever it has answered with 250 is in its file, however it ends. Arguments: port and file. One line a
 * mail: JSON with recipients and the message in base64.
 */
const [port = '', file = ''] = process.argv.slice(2);
const kept = openSync(file, 'a', 0o600);

const server = new SMTPServer({
  disabledCommands: ['STARTTLS', 'AUTH'],
  authOptional: true,
  disableReverseLookup: true,
  hideENHANCEDSTATUSCODES: false,
  hideDSN: false,
  logger: false,
  onData(stream, session, callback) {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('end', () => {
      const to = session.envelope.rcptTo.map(({ address }) => address);
      const line = JSON.stringify({ to, octets: Buffer.concat(parts).toString('base64') });
      writeSync(kept, `${line}\n`);
      callback(null, 'OK: kept');
    });
  },
});
// A client that breaks off is no failure of the server; without a listener it would end the process.
server.on('error', (error: Error & { code?: string }) => {
  if (error.code === 'EADDRINUSE') process.exit(1);
});
server.listen(Number(port), '127.0.0.1');
