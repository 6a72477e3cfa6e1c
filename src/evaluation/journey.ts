import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { SealgateError } from '../errors.ts';
import type { EvaluationProfile } from './profile.ts';
import { runProgram } from './run-program.ts';

/** One mail, seen at every place it passed; all octets as they were there. */
export type Journey = {
  /** What alice's client wrote. */
  sent: Buffer;
  /** The upstream's answer, as alice's client saw it. */
  answer: string;
  /** What went to the mail server. */
  wire: Buffer;
  /** What the mail server keeps for bob, asked past the gateway: the wire's octets below delivery's trace fields. */
  stored: Buffer;
  /** What bob's client was given. */
  seen: Buffer;
  openssl: OpensslVerdict;
};

/** What `openssl cms` says of the wire's octets with bob's key and the CA. */
export type OpensslVerdict = { recipients: number; verification: string; text: Buffer };

export type GatewayPorts = { submission: number; imap: number; pop3: number };

const SUBJECT = 'Lunch on Friday';
const TEXT =
  'Hello Bob,\r\n\r\nshall we meet at noon? The key to the old boathouse is under the third stone.\r\n\r\nAlice\r\n';

/**
 * Sends one mail from alice to bob through the gateway with clients that know nothing of S/MIME.
 *
 * @throws SealgateError `evaluation.journey-failed` where a step did not happen.
 */
export async function travel(profile: EvaluationProfile, ports: GatewayPorts): Promise<Journey> {
  const { alice, bob } = profile;
  const sent = Buffer.from(
    [
      `From: Alice <${alice.login}>`,
      `To: Bob <${bob.login}>`,
      `Subject: ${SUBJECT}`,
      `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
      `Message-ID: <${createHash('sha256').update(profile.folder).digest('hex').slice(0, 20)}@sealgate.test>`,
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=us-ascii',
      '',
      TEXT,
    ].join('\r\n'),
  );
  const answer = await send(profile, ports.submission, sent);
  const wire = profile.upstream.received.at(-1)?.octets;
  if (wire === undefined) throw failed('the mail server took no mail');
  const stored = await read(profile, { port: profile.dovecot.imapPort, secure: false });
  const seen = await read(profile, { port: ports.imap, secure: true });
  return { sent, answer, wire, stored, seen, openssl: await askOpenssl(profile, wire) };
}

async function send({ alice, bob, pki }: EvaluationProfile, port: number, raw: Buffer): Promise<string> {
  const client = createTransport({
    host: 'localhost',
    port,
    requireTLS: true,
    tls: { ca: pki.ca.certificate },
    auth: { user: alice.login, pass: alice.password },
  });
  try {
    const { response } = await client.sendMail({ envelope: { from: alice.login, to: [bob.login] }, raw });
    return response;
  } finally {
    client.close();
  }
}

/** The newest mail of bob's INBOX as an IMAP client gets it; without `secure`, STARTTLS comes first. */
async function read(
  { bob, pki }: EvaluationProfile,
  { port, secure }: { port: number; secure: boolean },
): Promise<Buffer> {
  const client = new ImapFlow({
    host: 'localhost',
    port,
    secure,
    tls: { ca: pki.ca.certificate },
    auth: { user: bob.login, pass: bob.password },
    logger: false,
  });
  await client.connect();
  try {
    const lock = await client.getMailboxLock('INBOX', { readOnly: true });
    try {
      const message = await client.fetchOne('*', { source: true });
      if (!message || message.source === undefined) throw failed('bob’s client found no mail');
      return message.source;
    } finally {
      lock.release();
    }
  } finally {
    await client.logout();
  }
}

async function askOpenssl({ folder, bob, pki }: EvaluationProfile, wire: Buffer): Promise<OpensslVerdict> {
  const encrypted = join(folder, 'wire.eml');
  const opened = join(folder, 'opened.eml');
  await writeFile(encrypted, wire, { mode: 0o600 });
  const structure = await runProgram('openssl', ['cms', '-cmsout', '-print', '-in', encrypted]);
  const key = ['-recip', bob.identity.certificateFile, '-inkey', bob.identity.keyFile];
  await runProgram('openssl', ['cms', '-decrypt', '-in', encrypted, ...key, '-out', opened]);
  const verified = await runProgram('openssl', [
    'cms',
    '-verify',
    '-in',
    opened,
    '-CAfile',
    pki.ca.certificateFile,
  ]);
  return {
    recipients: structure.stdout.toString('latin1').match(/d\.ktri:|d\.kari:/g)?.length ?? 0,
    verification: verified.stderr.trim(),
    text: verified.stdout,
  };
}

function failed(what: string): SealgateError {
  return new SealgateError({
    code: 'evaluation.journey-failed',
    duration: 'permanent',
    publicText: `The evaluation mail did not arrive: ${what}.`,
  });
}
