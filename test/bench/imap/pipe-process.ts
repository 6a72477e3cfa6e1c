import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:tls';

/** A TLS server that passes on what it reads to another and back, without a look at it. */
const [port = '', upstream = '', certificate = '', key = '', authority = ''] = process.argv.slice(2);
const ca = readFileSync(authority);
const server = createServer(
  { cert: readFileSync(certificate), key: readFileSync(key), noDelay: true },
  (client) => {
    const behind = connect({ host: '127.0.0.1', port: Number(upstream), servername: 'localhost', ca });
    behind.setNoDelay(true);
    for (const [from, to] of [
      [client, behind],
      [behind, client],
    ] as const) {
      from.on('data', (octets) => {
        if (to.write(octets)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
    }
  },
);
server.listen(Number(port), '127.0.0.1');
