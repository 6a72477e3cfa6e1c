import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { peekContentType } from '../../src/cms/peek-stream.ts';
import { signOpaque } from '../../src/cms/sign.ts';
import { readSignedStream } from '../../src/cms/signed-data-stream.ts';
import { collect } from '../../src/octets/collect.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { RereadableOctets } from '../../src/octets/source.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

/** Whoever reads CMS from a stream is done with a chunk before the next one is asked for. */

let folder: IdentityFolder;
let bob: Identity;
const content = Buffer.from(Array.from({ length: 9_000 }, (_, i) => (i * 7) & 255));
let messages: Record<'encrypted' | 'berEncrypted' | 'signed' | 'berSigned', Buffer>;

beforeAll(async () => {
  folder = new IdentityFolder();
  bob = folder.issue('bob', 'rsa');
  const signer = signingKey(bob.privateKey, bob.certificate, [{ kind: 'rsa-pkcs1', digest: 'sha256' }]);
  const input = ['-in', folder.file('content', content), '-binary', '-stream', '-outform', 'DER'];
  messages = {
    encrypted: await encrypt({ content, recipients: [bob], algorithm: 'aes256-cbc' }),
    berEncrypted: folder.openssl('cms', '-encrypt', '-aes256', ...input, bob.certificateFile),
    signed: await signOpaque({ signer, content, signingTime: new Date(), capabilities: [] }),
    berSigned: folder.openssl(
      ...['cms', '-sign', '-nodetach', ...input, '-signer', bob.certificateFile, '-inkey', bob.keyFile],
    ),
  };
});
afterAll(() => folder.remove());

/** Chunks whose memory is somebody else's as soon as the next one is asked for. */
function lent(octets: Buffer, sizes: readonly number[]): RereadableOctets {
  return {
    async *read() {
      for (let at = 0, i = 0; at < octets.length; i++) {
        const chunk = Buffer.from(octets.subarray(at, at + (sizes[i % sizes.length] ?? 1)));
        at += chunk.length;
        yield chunk;
        chunk.fill(0xff);
      }
    },
  };
}

it('reads the same from chunks that are gone afterwards', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 6 });
  const spool = encryptedSpool();
  await fc.assert(
    fc.asyncProperty(sizes, async (chunks) => {
      for (const name of ['encrypted', 'berEncrypted'] as const) {
        const source = lent(messages[name], chunks);
        expect(await peekContentType(source)).toMatch(/^1\.2\.840/);
        const opened = await decryptStream(source, [decryptionKey(bob.privateKey, bob.certificate)], spool);
        if (opened.outcome !== 'opened') throw new Error(opened.outcome);
        expect((await collect(opened.content.read())).equals(content)).toBe(true);
        await opened.content.discard();
      }
      for (const name of ['signed', 'berSigned'] as const) {
        const read = await readSignedStream(lent(messages[name], chunks), spool);
        if (read.content === null) throw new Error('the content is missing');
        expect((await collect(read.content.read())).equals(content)).toBe(true);
        expect(read.certificates).toEqual([bob.certificate.der]);
        await read.content.discard();
      }
    }),
    { numRuns: 60 },
  );
});
