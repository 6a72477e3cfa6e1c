import { once } from 'node:events';
import { connect } from 'node:tls';
import { ImapConversation, literalAfter } from '../../imap-proxy/support/imap-conversation.ts';
import type { MailSystem } from '../../support/mail-system.ts';

/** Past the gateway: what the mail server itself holds and says. */
export async function direct(system: MailSystem, name: string): Promise<ImapConversation> {
  const { login, password } = system.user(name);
  return ImapConversation.login(system.dovecot.imapPort, login, password);
}

/** A client of the gateway, before its login. */
export async function strangerAt(system: MailSystem): Promise<ImapConversation> {
  const socket = connect({
    host: '127.0.0.1',
    port: system.imapPort,
    ca: system.pki.ca.certificate,
    servername: 'localhost',
  });
  await once(socket, 'secureConnect');
  const conversation = new ImapConversation(socket);
  await conversation.until(/^\* OK[^\r\n]*\r\n/);
  return conversation;
}

/** A client of the gateway, logged in. */
export async function through(system: MailSystem, name: string): Promise<ImapConversation> {
  const conversation = await strangerAt(system);
  const { login, password } = system.user(name);
  await conversation.command(`LOGIN ${login} ${password}`);
  return conversation;
}

/** Puts octets into INBOX exactly as they are, past the gateway; the new message's UID. */
export async function plant(system: MailSystem, name: string, octets: Buffer): Promise<number> {
  const client = await direct(system, name);
  try {
    client.send(`a APPEND INBOX {${octets.length}}\r\n`);
    await client.until(/\+[^\r\n]*\r\n/);
    client.send(octets);
    client.send('\r\n');
    const reply = await client.until(/a (?:OK|NO|BAD)[^\r\n]*\r\n/);
    const uid = /\[APPENDUID [0-9]+ ([0-9]+)\]/.exec(reply)?.[1];
    if (uid === undefined) throw new Error(`the mail server did not take it: ${reply}`);
    return Number(uid);
  } finally {
    client.close();
  }
}

/** What a client sees of one planted message. Text is Latin-1: a character for an octet. */
export type Shown = {
  octets: string;
  /** RFC822.SIZE. */
  size: number;
  /** smime= of the gateway's own Authentication-Results; null: it gave none. */
  result: string | null;
  /** The gateway's own status field, unfolded; null: there is none. */
  status: string | null;
  structure: string;
};

/** Reads one message as a client that downloads it whole. */
export async function show(system: MailSystem, name: string, uid: number): Promise<Shown> {
  const client = await through(system, name);
  try {
    await client.command('EXAMINE INBOX');
    const response = await client.command(`UID FETCH ${uid} (RFC822.SIZE BODYSTRUCTURE BODY.PEEK[])`);
    if (!/^c[0-9]+ OK/m.test(response.slice(-200))) throw new Error(response.slice(-200));
    const octets = literalAfter(response, 'BODY[]');
    const header = unfolded(octets.slice(0, octets.search(/\r?\n\r?\n/)));
    return {
      octets,
      size: Number(/RFC822\.SIZE ([0-9]+)/.exec(response)?.[1]),
      result:
        /^Authentication-Results: sealgate-[0-9a-z]{12}\.[^;]*;.* smime=([a-z]+)/im.exec(header)?.[1] ?? null,
      status: /^X-Sealgate-[0-9a-z]{12}-Status: .*$/im.exec(header)?.[0] ?? null,
      structure: /BODYSTRUCTURE (.*)/.exec(response)?.[1] ?? '',
    };
  } finally {
    client.close();
  }
}

/** Plants and reads. */
export async function shownOf(system: MailSystem, name: string, octets: Buffer): Promise<Shown> {
  return show(system, name, await plant(system, name, octets));
}

function unfolded(header: string): string {
  return header.replace(/\r?\n[ \t]+/g, ' ');
}

/**
 * One command of a client that takes what it gets and looks only at its end, so that answers of many megabytes cost it
 * nothing. Octets without the tagged line, and that line.
 */
export async function bulkCommand(
  client: ImapConversation,
  text: string,
): Promise<{ octets: Buffer; end: string }> {
  const chunks: Buffer[] = [];
  let tail = '';
  const { socket } = client;
  const listeners = socket.listeners('data') as ((chunk: Buffer) => void)[];
  socket.removeAllListeners('data');
  try {
    return await new Promise((resolve, reject) => {
      socket.on('close', () => reject(new Error(`ended after ${tail}`)));
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        tail = (tail + chunk.toString('latin1')).slice(-500);
        const end = /(?:^|\r\n)(b1 (?:OK|NO|BAD)[^\r\n]*)\r\n$/.exec(tail)?.[1];
        if (end === undefined) return;
        const all = Buffer.concat(chunks);
        resolve({ octets: all.subarray(0, all.length - end.length - 2), end });
      });
      socket.write(`b1 ${text}\r\n`);
    });
  } finally {
    socket.removeAllListeners('data');
    for (const listener of listeners) socket.on('data', listener);
  }
}
