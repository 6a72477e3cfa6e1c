import { deliverByLmtp } from '../../../src/evaluation/lmtp-delivery.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { addressOf, type MailSystem } from '../../support/mail-system.ts';

/** Somebody's certificate and key, for OpenSSL. */
export type Correspondent = { certificateFile: string; keyFile: string };

/**
 * A mail that was made without the gateway comes to alice by LMTP, and what INBOX then shows her of it.
 *
 * @param secured what OpenSSL has made of the body: MIME, with the fields that say so
 */
export async function aliceGets(
  system: MailSystem,
  secured: Buffer,
  from: string = addressOf('bob'),
): Promise<Buffer> {
  const header = `From: ${from}\r\nTo: ${addressOf('alice')}\r\nSubject: from elsewhere\r\n`;
  const octets = Buffer.from(`${header}${secured.toString('latin1').replace(/\r?\n/g, '\r\n')}`, 'latin1');
  await deliverByLmtp(system.dovecot.lmtpPort, {
    ...{ reversePath: from, recipients: [addressOf('alice')], octets },
    ...{ eightBit: false, smtpUtf8: false },
  });
  return (await system.read('alice')).at(-1) ?? Buffer.alloc(0);
}

/** Signed with `openssl cms`, opaque where `options` do not say otherwise. */
export async function signedBy(
  { certificateFile, keyFile }: Correspondent,
  entity: Buffer | string,
  options: readonly string[] = ['-nodetach'],
): Promise<Buffer> {
  const signer = ['-md', 'sha256', '-signer', certificateFile, '-inkey', keyFile];
  return (await runProgram('openssl', ['cms', '-sign', ...signer, ...options], { input: entity })).stdout;
}

/** Unfolded: the fields on top that say what was found of it. */
export function found(mail: Buffer): string {
  return (
    mail
      .toString('latin1')
      .replace(/\r\n[ \t]+/g, ' ')
      .split('\r\n\r\n')[0] ?? ''
  );
}
