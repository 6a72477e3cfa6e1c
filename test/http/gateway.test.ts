import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CERTIFICATE_STORE_PATH } from '../../src/publishing/certificate-store.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { requireCommand } from '../support/require-command.ts';

let system: MailSystem;
beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    withoutKeys: ['bob'],
    sections: {
      http: [{ name: 'web', host: '127.0.0.1', port: 0, tls: 'implicit', serves: ['certificates'] }],
    },
  });
});
afterAll(() => system?.stop());

/** What curl says of an address: status, and the body. */
async function curl(address: string): Promise<{ status: string; body: Buffer }> {
  const url = `https://localhost:${system.gateway.port('web')}${CERTIFICATE_STORE_PATH}`;
  const { stdout } = await promisify(execFile)(
    await requireCommand('curl'),
    [
      ...['-sS', '--cacert', system.pki.ca.certificateFile, '--get', '--data-urlencode', `email=${address}`],
      ...['--write-out', '%{http_code}', url],
    ],
    { encoding: 'buffer' },
  );
  return { status: stdout.subarray(-3).toString(), body: stdout.subarray(0, -3) };
}

test('strangers get the certificates of own users from a running gateway, and nobody else’s', async () => {
  const { status, body } = await curl(addressOf('alice'));
  expect(status).toBe('200');
  const openssl = promisify(execFile)(await requireCommand('openssl'), ['x509', '-inform', 'DER']);
  openssl.child.stdin?.end(body);
  expect((await openssl).stdout.trim()).toBe(
    /-----BEGIN[\s\S]*?-----END CERTIFICATE-----/.exec(system.user('alice').identity.certificate)?.[0],
  );
  expect((await curl(addressOf('bob'))).status).toBe('404');
});
