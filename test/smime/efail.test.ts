import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { decodeBody, encodeBase64 } from '../../src/mail/transfer-encoding.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, People } from './support/people.ts';

/** EFAIL (USENIX Security 2018): nothing that is decrypted may get into a frame that somebody else made. */

let people: People;
/** Encrypted to Bob, as an attacker gets it: CBC and GCM. */
let captured: Record<'aes256-cbc' | 'aes256-gcm', Buffer>;
const SECRET = 'the secret text';

beforeAll(async () => {
  people = new People();
  const message = crlf(`From: alice@example.org\nContent-Type: text/plain\n\n${SECRET}\n`);
  const bob = [people.identity('bob')];
  captured = {
    'aes256-cbc': await encryptMessage(message, bob, 'aes256-cbc'),
    'aes256-gcm': await encryptMessage(message, bob, 'aes256-gcm'),
  };
});
afterAll(() => people.remove());

function entityOf(message: Buffer): string {
  const text = message.toString('latin1');
  return text.slice(text.indexOf('Content-Type:'));
}

describe('a sandwich around an encrypted part', () => {
  const around = (type: string, ...parts: string[]): Buffer =>
    crlf(
      `From: mallory@example.org\nMIME-Version: 1.0\nContent-Type: ${type}; boundary="B"\n\n${parts
        .map((part) => `--B\n${part}\n`)
        .join('')}--B--\n`,
    );
  const before = 'Content-Type: text/html\n\n<img src="http://evil.example/';
  const after = 'Content-Type: text/html\n\n">';

  it.each([
    'multipart/mixed',
    'multipart/related',
    'multipart/alternative',
    'multipart/signed; protocol="application/pkcs7-signature"',
    'multipart/x-unknown',
  ])('is not decrypted in %s', async (type) => {
    const inner = entityOf(captured['aes256-cbc']);
    for (const parts of [[before, inner, after], [inner], [inner, after], [before, inner]]) {
      const message = around(type, ...parts);
      const opening = await people.open(message, [people.key('bob')]);
      expect(opening.outcome).toBe('as-is');
      expect(opening.entity).toBe(message);
      expect(opening.report.layers.every((layer) => layer.kind !== 'encrypted')).toBe(true);
    }
  });

  it('is not decrypted inside decrypted mail', async () => {
    const sandwich = around('multipart/mixed', before, entityOf(captured['aes256-cbc']), after);
    const outer = await encryptMessage(sandwich, [people.identity('bob')], 'aes256-cbc');
    const opening = await people.open(outer, [people.key('bob')]);
    expect(opening.outcome).toBe('opened');
    expect(opening.entity.toString()).toContain('application/pkcs7-mime');
    expect(opening.entity.toString()).not.toContain(SECRET);
  });

  it('is not decrypted as a forwarded message or under another type', async () => {
    const text = captured['aes256-cbc'].toString('latin1');
    for (const message of [
      `From: mallory@example.org\r\nContent-Type: message/rfc822\r\n\r\n${text}`,
      text.replace('application/pkcs7-mime', 'application/octet-stream').replaceAll('smime.p7m', 'smime.bin'),
      `Content-Type: text/html\r\n${text}`,
    ]) {
      const opening = await people.open(Buffer.from(message, 'latin1'), [people.key('bob')]);
      expect(opening).toMatchObject({ outcome: 'as-is', report: { layers: [] } });
    }
  });
});

describe('ciphertext that was changed', () => {
  const changed = (message: Buffer, change: (cms: Buffer) => Buffer): Buffer => {
    const { octets, root } = readMessage(message);
    const cms = change(Buffer.from(decodeBody(octets, root)));
    return Buffer.concat([octets.subarray(0, root.body.start), encodeBase64(cms)]);
  };

  it('gives no plaintext with GCM, wherever it was changed', async () => {
    const { octets, root } = readMessage(captured['aes256-gcm']);
    const { length } = decodeBody(octets, root);
    for (let at = 0; at < length; at += 7) {
      const message = changed(captured['aes256-gcm'], (cms) => {
        cms[at] = (cms[at] ?? 0) ^ 0x01;
        return cms;
      });
      const opening = await people.open(message, [people.key('bob')]);
      expect(opening.entity).toBe(message);
      expect(['no-key', 'failed', 'as-is']).toContain(opening.outcome);
    }
  });

  it('fails in one way, whatever the reason', async () => {
    const { octets, root } = readMessage(captured['aes256-cbc']);
    const cms = decodeBody(octets, root);
    const encryptedKey = cms.indexOf(Buffer.from('04820100', 'hex')) + 4;
    const reports = new Set<string>();
    for (const at of [encryptedKey + 5, encryptedKey + 200, cms.length - 1, cms.length - 17]) {
      const message = changed(captured['aes256-cbc'], (copy) => {
        copy[at] = (copy[at] ?? 0) ^ 0x80;
        return copy;
      });
      const opening = await people.open(message, [people.key('bob')]);
      if (opening.outcome !== 'opened') reports.add(JSON.stringify([opening.outcome, opening.report]));
    }
    expect(reports.size).toBe(1);
  });

  it('is not read where it is cut off', async () => {
    for (const kind of ['aes256-cbc', 'aes256-gcm'] as const) {
      const message = changed(captured[kind], (cms) => cms.subarray(0, cms.length - 20));
      expect((await people.open(message, [people.key('bob')])).outcome).toBe('failed');
    }
  });

  it('is no failure where only the file name said it was CMS', async () => {
    const message = crlf('Content-Type: application/octet-stream; name=x.p7m\n\nhello\n');
    expect((await people.open(message, [people.key('bob')])).outcome).toBe('as-is');
    const declared = crlf('Content-Type: application/pkcs7-mime; name=x.p7m\n\nhello\n');
    expect((await people.open(declared, [people.key('bob')])).outcome).toBe('failed');
  });
});

describe('layers', () => {
  it('are opened up to the limit and not beyond', async () => {
    let message = crlf('From: alice@example.org\n\nHello\n');
    for (let i = 0; i < limits.cms.layers; i++) {
      message = await signMessage(message, people.signer('alice', 'P-256'), {
        form: 'opaque',
        at: new Date(),
      });
    }
    expect((await people.open(message)).report.layers.length).toBe(limits.cms.layers);
    const more = await signMessage(message, people.signer('alice', 'P-256'), {
      form: 'opaque',
      at: new Date(),
    });
    const opening = await people.open(more);
    expect(opening.outcome).toBe('failed');
    expect(opening.entity).toBe(more);
  });

  it('show nothing of what is inside when an inner layer cannot be opened', async () => {
    const inner = await encryptMessage(
      crlf('From: alice@example.org\n\nHello\n'),
      [people.identity('mallory')],
      'aes256-cbc',
    );
    const outer = await encryptMessage(inner, [people.identity('bob')], 'aes256-cbc');
    const opening = await people.open(outer, [people.key('bob')]);
    expect(opening).toMatchObject({
      outcome: 'no-key',
      report: { layers: [{ outcome: 'opened' }, { outcome: 'no-key' }] },
    });
    expect(opening.entity).toBe(outer);
  });

  it('ask for keys only where a layer is encrypted', async () => {
    let asked = 0;
    const keys = () => {
      asked++;
      return Promise.resolve([people.key('bob')]);
    };
    const context = { at: new Date(), anchors: [], pool: [] };
    const signed = await signMessage(captured['aes256-cbc'], people.signer('alice'), {
      form: 'clear',
      at: new Date(),
    });
    await openMessage(crlf('From: alice@example.org\n\nHello\n'), keys, context);
    expect(asked).toBe(0);
    expect((await openMessage(signed, keys, context)).outcome).toBe('opened');
    expect(asked).toBe(1);
  });

  it('wait for a key that is away instead of failing', async () => {
    const away = new SealgateError({ code: 'key.unavailable', publicText: 'Away.', duration: 'temporary' });
    const key = { ...people.key('bob'), decryptKey: () => Promise.reject(away) };
    await expect(people.open(captured['aes256-cbc'], [key])).rejects.toBe(away);
  });
});
