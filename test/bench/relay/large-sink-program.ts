import { createServer, type Socket } from 'node:net';

/** A mail server that offers SIZE, as smtp-sink of Postfix does not, and forgets every mail. Its one argument is the port. */
const END = Buffer.from('\r\n.\r\n');

createServer((socket) => {
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.write('220 sink\r\n');
  let data = false;
  let tail: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    if (data) {
      // Nobody says anything behind the end of data before its reply.
      tail = Buffer.concat([tail, chunk.subarray(-END.length)]).subarray(-END.length);
      if (!tail.equals(END)) return;
      data = false;
      socket.write('250 2.0.0 forgotten\r\n');
      return;
    }
    for (const line of chunk.toString('latin1').split('\r\n')) data = answered(socket, line) || data;
    tail = Buffer.from('\r\n');
  });
}).listen(Number(process.argv[2]), '127.0.0.1');

function answered(socket: Socket, line: string): boolean {
  const verb = line.slice(0, 4).toUpperCase();
  if (verb === 'EHLO') socket.write('250-sink\r\n250-8BITMIME\r\n250-SIZE 2147483648\r\n250 PIPELINING\r\n');
  else if (verb === 'DATA') socket.write('354 go on\r\n');
  else if (verb === 'QUIT') socket.end('221 2.0.0 bye\r\n');
  else if (verb !== '') socket.write('250 2.0.0 ok\r\n');
  return verb === 'DATA';
}
