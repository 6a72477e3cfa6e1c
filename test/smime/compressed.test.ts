import { deflateSync, type ZlibOptions } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, kinds, People, signaturesOf } from './support/people.ts';

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

const HEADER = 'From: alice@example.org\nTo: bob@example.org\nSubject: Report\n';
const text = crlf(`Content-Type: text/plain

Good morning.
`);

/** A compressed mail (RFC 8551 §3.6) with this entity inside. */
function compressed(
  entity: Buffer,
  header = HEADER,
  contentType: string = contentTypes.data,
  options: ZlibOptions = {},
): Buffer {
  const octets = der.explicit(0, der.octetString(deflateSync(entity, options)));
  const algorithm = algorithmIdentifier('1.2.840.113549.1.9.16.3.8');
  const body = der.sequence(der.integer(0), algorithm, der.sequence(der.oid(contentType), octets));
  return crlf(`${header}Content-Type: application/pkcs7-mime; smime-type=compressed-data; name=smime.p7z
Content-Transfer-Encoding: base64

${contentInfo(contentTypes.compressedData, body).toString('base64').replace(/.{76}/g, '$&\n')}
`);
}

describe('compressed mail', () => {
  it('is unpacked and shown', async () => {
    const opening = await people.open(compressed(text));
    expect(opening).toMatchObject({
      outcome: 'opened',
      entity: text,
      report: { layers: [{ kind: 'compressed', outcome: 'opened' }] },
    });
  });

  it('is unpacked inside of a signature, a signature inside of it, and inside of encryption', async () => {
    const alice = people.signer('alice');
    const options = { form: 'opaque', at: new Date() } as const;
    const signed = await signMessage(Buffer.concat([crlf(HEADER), text]), alice, options);
    const outside = await people.open(compressed(signed));
    expect(kinds(outside)).toEqual(['compressed', 'signed']);
    expect(signaturesOf(outside)).toMatchObject([{ signature: 'good', speaksFor: 'from' }]);

    const inside = await signMessage(compressed(text), alice, options);
    const opening = await people.open(inside);
    expect(kinds(opening)).toEqual(['signed', 'compressed']);
    expect(opening.entity).toEqual(text);

    const bob = people.identity('bob');
    const hidden = await encryptMessage(compressed(text), [{ certificate: bob.certificate }], 'aes256-gcm');
    const opened = await people.open(hidden, [people.key('bob')]);
    expect(kinds(opened)).toEqual(['encrypted', 'compressed']);
    expect(opened.entity).toEqual(text);
  });

  it('that is a bomb, damaged or of another content has failed, and nothing of it is shown', async () => {
    const failed = { outcome: 'failed', report: { layers: [{ kind: 'compressed', outcome: 'failed' }] } };
    const damaged = Buffer.from(compressed(text).toString('latin1').replace('\r\n\r\n', '\r\n\r\nMAAA'));
    for (const mail of [
      compressed(Buffer.alloc(32 * 1024 * 1024)),
      compressed(text, HEADER, contentTypes.signedData),
    ]) {
      expect(await people.open(mail)).toMatchObject({ ...failed, entity: mail });
    }
    expect(await people.open(damaged)).toMatchObject({ outcome: 'failed', entity: damaged });
  });

  it('that reaches its size in two steps, each of them plausible, is a bomb as well', async () => {
    const large = Buffer.alloc(24 * 1024 * 1024, 'a');
    // Hardly packed: many small blocks, which pack well in their turn.
    const middle = compressed(large, HEADER, contentTypes.data, { memLevel: 1, level: 1 });
    const small = compressed(middle);
    expect(small.length * 100).toBeLessThan(large.length);
    expect(await people.open(small)).toMatchObject({ outcome: 'failed', entity: small });
    // Sent as large as it says, it is no bomb.
    const padded = Buffer.concat([small, Buffer.alloc(300_000, '\r\n')]);
    const header = padded.subarray(0, padded.indexOf('\r\n\r\n')).toString('latin1');
    expect(header).toContain('compressed-data');
    expect(await people.open(padded)).toMatchObject({ outcome: 'opened' });
  });

  it('packed in itself again and again ends at the bound of layers', async () => {
    let mail = compressed(text);
    for (let i = 0; i < 12; i++) mail = compressed(mail);
    const opening = await people.open(mail);
    expect(opening).toMatchObject({ outcome: 'failed', entity: mail });
    expect(opening.report.layers.length).toBeLessThan(10);
  });
});
