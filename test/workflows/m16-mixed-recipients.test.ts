import { readFileSync } from 'node:fs';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import type { ReceivedMail } from '../../src/evaluation/smtp-upstream.ts';
import { Loopback } from '../revocation/support/loopback.ts';
import {
  addressOf,
  type MailSystem,
  opensslOpen,
  opensslVerify,
  startMailSystem,
} from '../support/mail-system.ts';
import { crlOf } from './support/crl-of.ts';

/**
 * M16: one mail to several recipients, under each value of `withoutCertificate`: exactly what the table in docs/policy.md says, which is
 * read here. Somebody writes by each value, and five people hear of it as they can.
 */

const RECIPIENTS = ['known', 'none', 'expired', 'revoked', 'blind'] as const;
type Recipient = (typeof RECIPIENTS)[number];
type Row = { value: string; cells: Readonly<Record<Recipient, string>>; end: string };

const TABLE: readonly Row[] = readFileSync('docs/policy.md', 'utf8')
  .split('\n')
  .filter((line) => /^\| `[a-z-]+` (?:\| [^|]+ ){6}\|$/.test(line))
  .map((line) => {
    const [value = '', ...cells] = line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', ''));
    const [known = '', none = '', expired = '', revoked = '', blind = '', end = ''] = cells;
    return { value, cells: { known, none, expired, revoked, blind }, end };
  });

let system: MailSystem;
let server: Loopback;

beforeAll(async () => {
  server = await Loopback.start();
  const values = TABLE.map(({ value }) => value);
  system = await startMailSystem({
    users: [...values, ...RECIPIENTS],
    withoutKeys: RECIPIENTS,
    queue: {},
    pinned: RECIPIENTS.filter((name) => name !== 'none'),
    certificate: (name) => ({ keyType: 'p-256', ...(name === 'expired' ? { days: -1 } : {}) }),
    crl: server.url('/ca.crl'),
    revocation: { allowAddresses: ['127.0.0.1'], allowPorts: [server.port] },
    rules: values.map((value) => ({
      name: `by-${value}`,
      when: { login: [addressOf(value)] },
      ...{ sign: 'require', encrypt: 'require', withoutCertificate: value },
    })),
  });
  server.gives('/ca.crl', await crlOf(system, ['revoked']));
});
afterAll(async () => {
  await system?.stop();
  await server?.close();
});

type Heard = { atRecipient: Map<string, string>; end: string };

/** What a mail program hears that goes on after a refusal at RCPT TO. */
async function writes(sender: string): Promise<Heard> {
  const client = createTransport({
    ...{ host: 'localhost', port: system.submissionPort, requireTLS: true },
    tls: { ca: system.pki.ca.certificate },
    auth: { user: system.user(sender).login, pass: system.user(sender).password },
  });
  const [known = '', none = '', expired = '', revoked = '', bcc = ''] = RECIPIENTS.map(addressOf);
  const mail = { to: [known, none], cc: [expired, revoked], bcc, subject: sender, text: 'the boathouse key' };
  try {
    const { response, rejectedErrors = [] } = await client.sendMail({ from: addressOf(sender), ...mail });
    return {
      atRecipient: new Map(
        rejectedErrors.map((error) => {
          const { recipient, response: said } = error as unknown as { recipient: string; response: string };
          return [recipient, said];
        }),
      ),
      end: response,
    };
  } catch (error) {
    const { response } = error as { response?: string };
    if (response === undefined) throw error;
    return { atRecipient: new Map(), end: response };
  } finally {
    client.close();
  }
}

function theOne(mails: readonly ReceivedMail[]): ReceivedMail {
  const [mail] = mails;
  if (mail === undefined || mails.length > 1)
    throw new Error(`${mails.length} messages where one is expected`);
  return mail;
}

/** The certificates that a message is encrypted to, by their serial numbers. */
async function readers(octets: Buffer): Promise<string[]> {
  const { stdout: cms } = await runProgram('openssl', ['cms', '-cmsout', '-outform', 'DER'], {
    input: octets,
  });
  const found = await Promise.all(
    [...TABLE.map(({ value }) => value), ...RECIPIENTS].map(async (name) => {
      const asked = ['x509', '-noout', '-serial', '-in', system.user(name).identity.certificateFile];
      const serial = (await runProgram('openssl', asked)).stdout.toString().trim().replace('serial=', '');
      return cms.includes(Buffer.from(serial, 'hex')) ? [name] : [];
    }),
  );
  return found.flat();
}

describe('M16: recipients with and without certificates in one mail', () => {
  it('docs/policy.md says it of each value', () => {
    const schema = JSON.stringify(JSON.parse(readFileSync('config/gateway.schema.json', 'utf8')));
    const values = /"withoutCertificate":\{[^}]*"enum":\[([^\]]*)\]/.exec(schema)?.[1];
    expect(TABLE.map(({ value }) => JSON.stringify(value)).join()).toBe(values);
  });

  it.each(TABLE)('$value', async ({ value, cells, end }) => {
    const heard = await writes(value);
    // The gateway writes to the sender, who has nothing to do with the table.
    const taken = system.taken().filter(({ envelope }) => !envelope.recipients.includes(addressOf(value)));
    const those = (cell: string) => RECIPIENTS.filter((name) => cells[name] === cell);
    const of = (name: string) =>
      taken.filter(({ envelope }) => envelope.recipients.includes(addressOf(name)));

    if (end === '550') {
      expect(heard.end).toMatch(
        /^550 5\.7\.1 .*\(and 1 more for other reasons\).*Nothing was sent to anybody\./,
      );
      for (const name of ['none', 'expired']) expect(heard.end).toContain(addressOf(name));
    } else {
      expect(end).toBe("the mail server's reply");
      expect(heard.end).toMatch(/^250 /);
    }

    const refused = those('refused at RCPT TO').map(addressOf);
    expect([...heard.atRecipient.keys()].sort()).toEqual(refused.toSorted());
    for (const address of refused) {
      expect(heard.atRecipient.get(address)).toMatch(/^550 5\.7\.1 /);
      expect(heard.atRecipient.get(address)).toContain(address);
    }

    // Each cell is one message, whose readers are those of the cell and the author.
    for (const cell of ['encrypted', 'encrypted, apart', 'signed']) {
      const names = those(cell);
      const [first] = names;
      if (first === undefined) continue;
      const { octets, envelope } = theOne(of(first));
      expect(envelope.recipients.toSorted()).toEqual(names.map(addressOf).toSorted());
      if (cell !== 'encrypted, apart') expect(octets.toString()).not.toContain(addressOf('blind'));
      if (cell === 'signed') {
        expect((await opensslVerify(system, octets)).toString()).toContain('the boathouse key');
        continue;
      }
      expect(octets.toString()).not.toContain('boathouse');
      expect((await readers(octets)).toSorted()).toEqual([value, ...names].toSorted());
      for (const name of names) {
        expect((await opensslOpen(system, octets, name)).toString()).toContain('the boathouse key');
      }
    }

    // Nobody else has got anything.
    const served = [...those('encrypted'), ...those('encrypted, apart'), ...those('signed')];
    expect(taken.flatMap(({ envelope }) => envelope.recipients).toSorted()).toEqual(
      served.map(addressOf).toSorted(),
    );
    // Whoever has got nothing and was not refused waits, and is kept as such.
    const waiting = those('waits').length;
    expect(
      system.events
        .filter((one) => one.event === 'held.kept')
        .filter(({ rule }) => rule === `by-${value}`)
        .map(({ recipients }) => recipients),
    ).toEqual(waiting === 0 ? [] : [waiting]);
    const known = new Set([
      'nothing',
      'waits',
      'refused at RCPT TO',
      'encrypted',
      'encrypted, apart',
      'signed',
    ]);
    expect(Object.values(cells).filter((cell) => !known.has(cell))).toEqual([]);
  });
});
