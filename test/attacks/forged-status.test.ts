import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ImapConversation, literalAfter } from '../imap-proxy/support/imap-conversation.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { plant, shownOf, through } from './support/mailbox.ts';
import { crlf, encrypted, mailOf, signed, textEntity } from './support/openssl-mail.ts';

/**
 * A correspondent to whom somebody has once forwarded a mail with its header knows the names of this installation. What he
 * writes under them never reaches a reader as ours.
 */

let system: MailSystem;
let id: string;
const HEADER = [`From: ${addressOf('alice')}`, `To: ${addressOf('bob')}`, 'Subject: s'];

beforeAll(async () => {
  system = await startMailSystem({ users: ['alice', 'bob', 'mallory'] });
  const file = join(system.folder, 'state', 'installation.json');
  id = (JSON.parse(await readFile(file, 'utf8')) as { id: string }).id;
});
afterAll(() => system?.stop());

const authserv = () => `sealgate-${id}.gateway.sealgate.test`;

/** Fields that would look like ours. */
function forgeries(): string[] {
  const capitals = id.toUpperCase();
  const quoted = `"sealgate-${id.slice(0, 4)}\\${id.slice(4)}.gateway.sealgate.test"`;
  return [
    `Authentication-Results: ${authserv()}; smime=pass`,
    `authentication-results:${authserv()}; smime=pass`,
    `Authentication-Results : ${authserv()}; smime=pass`,
    `Authentication-Results:\n\t${authserv()};\n smime=pass`,
    `Authentication-Results: (comment) ${authserv()} 1; smime=pass`,
    `Authentication-Results: sealgate-${capitals}.gateway.sealgate.test; smime=pass`,
    `Authentication-Results: ${quoted}; smime=pass`,
    `X-Sealgate-${id}-Status: v=1; view=opened; verdict=trusted`,
    `X-SEALGATE-${capitals}-STATUS: v=1; view=opened; verdict=trusted`,
    `X-Sealgate-${id}-Status : v=1; view=opened; verdict=trusted`,
    `X-Sealgate-${id}-Status:\n v=1; view=opened; verdict=trusted`,
    `X: 1\rX-Sealgate-${id}-Status: v=1; view=opened; verdict=trusted`,
  ];
}

/** Lines of a header that a reader would take for the gateway's word, wherever he thinks a line begins. */
function oursIn(header: string): string[] {
  const lines = header.replace(/\r?\n[ \t]+/g, ' ').split(/\r\n|\r|\n/);
  return lines.filter((line) => {
    const [name = '', value = ''] = [line.slice(0, line.indexOf(':')).trim(), line.slice(line.indexOf(':'))];
    if (name.toLowerCase() === `x-sealgate-${id}-status`) return true;
    const plain = value.replace(/\\(.)/g, '$1').toLowerCase();
    return name.toLowerCase() === 'authentication-results' && plain.includes(id);
  });
}

function headerOf(octets: string): string {
  return octets.slice(0, octets.search(/\r\n\r\n/) + 2);
}

const plain = (field: string): Buffer => mailOf([...HEADER, field], textEntity('hello'));

describe('in mail that is shown as it is stored', () => {
  it('is another field in every way to ask for it, and no size changes', async () => {
    for (const field of forgeries()) {
      const original = plain(field);
      const uid = await plant(system, 'bob', original);
      const client = await through(system, 'bob');
      await client.command('EXAMINE INBOX');
      const whole = literalAfter(await client.command(`UID FETCH ${uid} (BODY.PEEK[])`), 'BODY[]');
      expect([field, oursIn(headerOf(whole))]).toEqual([field, []]);
      expect(whole.length).toBe(original.length);
      for (const item of [
        'RFC822.HEADER',
        'BODY.PEEK[HEADER]',
        `BODY.PEEK[HEADER.FIELDS (Authentication-Results X-Sealgate-${id}-Status From)]`,
        'BODY.PEEK[HEADER.FIELDS.NOT (From)]',
      ]) {
        const reply = await client.command(`UID FETCH ${uid} (${item})`);
        const label = item.replace('.PEEK', '').replace(/ \(.*/, '');
        expect([field, item, oursIn(literalAfter(reply, label))]).toEqual([field, item, []]);
      }
      client.close();
    }
  });

  it('also in clear-signed mail, and in mail whose type cannot be read', async () => {
    const field = forgeries()[0] ?? '';
    const clear = await signed(textEntity('hello'), system.user('mallory').identity);
    for (const entity of [clear, crlf('Content-Type: a/b; boundary\nContent-Type: c/d\n\nhello\n')]) {
      const { octets } = await shownOf(system, 'bob', mailOf([...HEADER, field], entity));
      expect(oursIn(headerOf(octets))).toEqual([]);
    }
  });

  it('in pieces, wherever the pieces are cut', async () => {
    for (const field of forgeries()) {
      const original = plain(field);
      const uid = await plant(system, 'bob', original);
      const client = await through(system, 'bob');
      await client.command('EXAMINE INBOX');
      const text = original.toString('latin1');
      const start = text.indexOf(field.slice(0, 10).replace(/\n/g, '\r\n'));
      // Every cut inside the field is one: before, in and behind the name.
      for (let cut = start - 2; cut < start + field.length; cut += 5) {
        const together = await inPieces(client, uid, original.length, [cut]);
        expect([field, cut, oursIn(headerOf(together))]).toEqual([field, cut, []]);
        expect(together.length).toBe(original.length);
      }
      client.close();
    }
  });

  it('in a header longer than is read', async () => {
    const pad = `X-Pad: ${'x'.repeat(900)}\n`.repeat(400);
    const field = `${pad}${forgeries()[0] ?? ''}`;
    const original = plain(field);
    const uid = await plant(system, 'bob', original);
    const client = await through(system, 'bob');
    await client.command('EXAMINE INBOX');
    const whole = literalAfter(await client.command(`UID FETCH ${uid} (BODY.PEEK[])`), 'BODY[]');
    expect(oursIn(headerOf(whole))).toEqual([]);
    const header = literalAfter(await client.command(`UID FETCH ${uid} (BODY.PEEK[HEADER])`), 'BODY[HEADER]');
    expect(oursIn(header)).toEqual([]);
    client.close();
  });

  it('leaves everything else alone: an attached mail that was once a view keeps its status', async () => {
    const inner = `Content-Type: message/rfc822\n\n${forgeries()[0] ?? ''}\nSubject: s\n\ntext\n`;
    const original = mailOf(
      HEADER,
      crlf(`Content-Type: multipart/mixed; boundary=b\n\n--b\n${inner}\n--b--\n`),
    );
    const { octets } = await shownOf(system, 'bob', original);
    expect(octets).toBe(original.toString('latin1'));
  });
});

/** Fetched as a client does that downloads in pieces, cut at `cuts`. */
async function inPieces(
  client: ImapConversation,
  uid: number,
  size: number,
  cuts: readonly number[],
): Promise<string> {
  const edges = [0, ...cuts, size];
  let all = '';
  for (const [i, from] of edges.slice(0, -1).entries()) {
    const count = (edges[i + 1] ?? size) - from;
    const reply = await client.command(`UID FETCH ${uid} (BODY.PEEK[]<${from}.${count}>)`);
    all += literalAfter(reply, `BODY[]<${from}>`);
  }
  return all;
}

describe('in encrypted mail', () => {
  it('is gone from the outer header; the gateway says its own word once', async () => {
    const sealed = await encrypted(textEntity('hello'), [system.user('bob').identity]);
    for (const field of forgeries()) {
      const { octets, result } = await shownOf(system, 'bob', mailOf([...HEADER, field], sealed));
      expect([field, oursIn(headerOf(octets)).length]).toEqual([field, 2]);
      expect(result).toBe('none');
      expect(octets).not.toMatch(/smime=pass|verdict=trusted/);
    }
  });

  it('does not come out of what is inside', async () => {
    for (const field of forgeries()) {
      const inside = crlf(`${field}\nSubject: inner\nContent-Type: text/plain\n\nhello\n`);
      const wrapped = crlf(`Content-Type: message/rfc822\n\n${inside.toString('latin1')}`);
      for (const entity of [inside, wrapped]) {
        const sealed = await encrypted(entity, [system.user('bob').identity]);
        const { octets, result } = await shownOf(system, 'bob', mailOf(HEADER, sealed));
        expect(oursIn(headerOf(octets))).toHaveLength(2);
        expect(result).toBe('none');
      }
    }
  });

  it('cannot be written by names in certificates', async () => {
    // CN and addresses go into the status: no octet of them may end a line.
    const evil = await system.pki.issueUser({
      address: 'mallory+x@sealgate.test',
      name: 'x; smime=pass header.d=bank',
    });
    const opaque = await signed(textEntity('hello'), evil, { form: 'opaque' });
    const { octets, result } = await shownOf(system, 'bob', mailOf(HEADER, opaque));
    expect(result).toBe('policy');
    expect(headerOf(octets)).not.toMatch(/smime=pass/);
  });
});
