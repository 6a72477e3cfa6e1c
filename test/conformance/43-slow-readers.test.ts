import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type GatewayProcess, startByHand } from '../attacks/support/gateway-process.ts';
import { crlf, encrypted, mailOf } from '../attacks/support/openssl-mail.ts';
import { inPieces } from './support/agreement.ts';
import { ImapClient } from './support/imap-client.ts';
import { octetsOf } from './support/imap-response.ts';
import { outerFields } from './support/message-classes.ts';
import { type SeededMailbox, seededMailbox, sha256 } from './support/seeded-mailbox.ts';

/** How much the gateway needs with a hundred readers and 50 MB is measured in test/bench/imap; here that it does not grow with them. */
const READERS = 4;
const OCTETS = 30_000_000;

let mailbox: SeededMailbox;
let gateway: GatewayProcess;
let uid: number;

beforeAll(async () => {
  mailbox = await seededMailbox();
  gateway = await startByHand(mailbox.system, 'slow', { stateFolder: `${mailbox.system.folder}/state-slow` });
  const file = Buffer.alloc(OCTETS / 1.4, 'thirty megabytes of attachment ')
    .toString('base64')
    .replace(/.{76}/g, '$&\n');
  const entity = crlf(
    `Content-Type: application/octet-stream; name=large.bin\nContent-Transfer-Encoding: base64\n\n${file}\n`,
  );
  const sealed = await encrypted(entity, [mailbox.people.bob], { cipher: 'aes-256-gcm' });
  const direct = await mailbox.direct();
  uid = await direct.append('INBOX', mailOf(outerFields('30 MB'), sealed));
  direct.close();
});
afterAll(async () => {
  await gateway?.stop();
  await mailbox?.stop();
});

async function reader(): Promise<ImapClient> {
  const { system } = mailbox;
  const client = await ImapClient.open(gateway.port('imaps'), system.pki.ca.certificate);
  const { login, password } = system.user('bob');
  await client.login(login, password);
  await client.ok('EXAMINE INBOX');
  return client;
}

/** Of the gateway and its key processes, in bytes: the most they have had. */
async function peaks(): Promise<number[]> {
  const processes = [gateway.child.pid ?? 0, ...(await gateway.children())];
  return Promise.all(
    processes.map(async (pid) => {
      const status = await readFile(`/proc/${pid}/status`, 'latin1');
      return Number(/^VmHWM:\s+([0-9]+) kB/m.exec(status)?.[1]) * 1024;
    }),
  );
}

test('43: 30 MB, whole and in pieces, by many readers of whom none takes it: memory stays bounded, all get the same', async () => {
  const first = await reader();
  const [answer] = await first.fetch(`UID FETCH ${uid} (RFC822.SIZE BODY.PEEK[])`);
  const whole = octetsOf(answer?.items.get('BODY[]'));
  expect(whole.length).toBe(Number(answer?.items.get('RFC822.SIZE')));
  expect((await inPieces(first, uid, 3_000_000)).equals(whole)).toBe(true);
  first.close();
  const readers = await Promise.all(Array.from({ length: READERS }, reader));
  const tags = readers.map((client) => {
    const tag = client.send(`UID FETCH ${uid} (BODY.PEEK[])`);
    client.socket.pause();
    return tag;
  });
  // Others are served meanwhile.
  const another = await reader();
  expect((await another.item(1, 'BODY.PEEK[]')).length).toBeGreaterThan(0);
  another.close();
  for (const [index, client] of readers.entries()) {
    client.socket.resume();
    const { status, untagged } = await client.answer(tags[index] ?? '');
    expect(status).toBe('OK');
    expect(sha256(untagged[0]?.octets.subarray(-whole.length - 3, -3) ?? Buffer.alloc(0))).toBe(
      sha256(whole),
    );
    client.close();
  }
  for (const peak of await peaks()) expect(peak).toBeLessThan(400 * 1024 * 1024);
});
