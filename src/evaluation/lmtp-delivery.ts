import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * Hands one message to an LMTP server (RFC 2033) on 127.0.0.1, one connection for each message.
 *
 * Small on purpose: an evaluation upstream and tests use it. The gateway's own way out is src/smtp-out.
 */
export type LmtpDelivery = {
  reversePath: string;
  recipients: readonly string[];
  /** The message with CRLF line ends, not dot-stuffed. */
  octets: Buffer;
  /** Ask for 8BITMIME (RFC 6152) and SMTPUTF8 (RFC 6531) where the message came with them. */
  eightBit?: boolean;
  smtpUtf8?: boolean;
};

/** One reply for each recipient, in order (RFC 2033 §4.2). */
export type LmtpOutcome = { recipient: string; code: number; text: string };

const TIMEOUT_MS = 60_000;

/** @throws Error when the server cannot be reached, ends the connection or refuses the sender or the whole message. */
export async function deliverByLmtp(port: number, delivery: LmtpDelivery): Promise<LmtpOutcome[]> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('the LMTP server does not answer')));
  try {
    await once(socket, 'connect');
    return await converse(socket, delivery);
  } finally {
    socket.destroy();
  }
}

type Reply = { code: number; lines: string[] };

async function converse(socket: Socket, delivery: LmtpDelivery): Promise<LmtpOutcome[]> {
  const replies = readReplies(socket);
  const next = async (): Promise<Reply> => {
    const { value, done } = await replies.next();
    if (done === true) throw new Error('the LMTP server closed the connection');
    return value;
  };
  const ask = (line: string): Promise<Reply> => {
    if (/[\r\n]/.test(line)) throw new Error('an LMTP command is one line');
    socket.write(`${line}\r\n`);
    return next();
  };
  expectClass(await next(), 2);
  const offers = await ask('LHLO localhost');
  expectClass(offers, 2);
  const offered = (keyword: string): boolean => offers.lines.some((line) => line.toUpperCase() === keyword);
  const body = delivery.eightBit === true && offered('8BITMIME') ? ' BODY=8BITMIME' : '';
  const utf8 = delivery.smtpUtf8 === true && offered('SMTPUTF8') ? ' SMTPUTF8' : '';
  expectClass(await ask(`MAIL FROM:<${delivery.reversePath}>${body}${utf8}`), 2);
  const outcomes: LmtpOutcome[] = [];
  for (const recipient of delivery.recipients) {
    outcomes.push({ recipient, ...words(await ask(`RCPT TO:<${recipient}>`)) });
  }
  const accepted = outcomes.filter(({ code }) => isPositive(code));
  if (accepted.length === 0) return outcomes;
  expectClass(await ask('DATA'), 3);
  socket.write(dotStuffed(delivery.octets));
  for (const outcome of accepted) Object.assign(outcome, words(await next()));
  socket.write('QUIT\r\n');
  return outcomes;
}

/** RFC 5321 §4.2.1: `code-text` lines, the last with a blank after its code. */
async function* readReplies(socket: Socket): AsyncGenerator<Reply> {
  let pending = '';
  let lines: string[] = [];
  for await (const octets of socket) {
    pending += (octets as Buffer).toString('utf8');
    for (let end = pending.indexOf('\r\n'); end >= 0; end = pending.indexOf('\r\n')) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 2);
      lines.push(line.slice(4));
      if (line[3] === '-') continue;
      yield { code: Number(line.slice(0, 3)), lines };
      lines = [];
    }
  }
}

function expectClass(reply: Reply, wanted: number): void {
  if (Math.floor(reply.code / 100) === wanted) return;
  throw new Error(`the LMTP server answered ${reply.code} ${reply.lines.join(' ')}`);
}

function isPositive(code: number): boolean {
  return code >= 200 && code < 300;
}

function words(reply: Reply): { code: number; text: string } {
  return { code: reply.code, text: reply.lines.join(' ') };
}

/** RFC 5321 §4.5.2, with the end of data. */
function dotStuffed(octets: Buffer): Buffer {
  const text = octets.toString('latin1').replace(/^\./gm, '..');
  return Buffer.from(text.endsWith('\r\n') ? `${text}.\r\n` : `${text}\r\n.\r\n`, 'latin1');
}
