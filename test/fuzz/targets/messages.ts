import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import * as der from '../../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../../src/cms/algorithm-identifier.ts';
import { contentInfo } from '../../../src/cms/content-info.ts';
import { encrypt } from '../../../src/cms/encrypt.ts';
import type { DecryptionKey } from '../../../src/cms/keys.ts';
import { contentTypes } from '../../../src/cms/oids.ts';
import { signDetached, signOpaque } from '../../../src/cms/sign.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import { type Identity, IdentityFolder } from '../../cms/support/identities.ts';
import { decryptionKey, signingKey } from '../../cms/support/software-keys.ts';
import { ecKey, makeCertificate } from '../../pki/make-certificate.ts';

/** People with keys of several kinds, and CMS messages of theirs by OpenSSL and by our own writers. */
export class Correspondents {
  readonly folder = new IdentityFolder();
  readonly alice: Identity;
  readonly bob: Identity;
  readonly keys: DecryptionKey[];
  readonly #postQuantum: Certificate;

  constructor() {
    this.alice = this.folder.issue('alice', 'P-256');
    this.bob = this.folder.issue('bob', 'rsa');
    const carol = this.folder.issue('carol', 'x25519');
    const { privateKey } = generateKeyPairSync('ml-kem-512');
    const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    this.#postQuantum = makeCertificate({ subject: 'Dora', issuer: 'CA', issuerKey: ecKey('ca'), key: spki });
    this.keys = [
      ...[this.alice, this.bob, carol].map((who) => decryptionKey(who.privateKey, who.certificate)),
      decryptionKey(privateKey, this.#postQuantum),
    ];
  }

  get signer() {
    const { privateKey, certificate } = this.alice;
    return signingKey(privateKey, certificate, [{ kind: 'ecdsa', digest: 'sha256' }]);
  }

  async signed(content: Buffer): Promise<Buffer[]> {
    const signingTime = new Date('2026-01-01T00:00:00Z');
    const request = { signer: this.signer, signingTime, content };
    const input = ['-binary', '-outform', 'DER', '-in', this.folder.file('content', content)];
    const by = (who: Identity): string[] => ['-signer', who.certificateFile, '-inkey', who.keyFile];
    const sign = (...args: string[]): Buffer => this.folder.openssl('cms', '-sign', ...input, ...args);
    return [
      await signOpaque({ ...request, capabilities: [] }),
      await signDetached({ ...request, capabilities: [] }),
      sign('-nodetach', '-stream', ...by(this.alice)),
      sign('-nodetach', '-keyid', ...by(this.bob), ...by(this.alice)),
      sign('-nodetach', '-noattr', ...by(this.bob)),
      sign('-cades', ...by(this.bob), '-keyopt', 'rsa_padding_mode:pss'),
      this.folder.openssl('crl2pkcs7', '-nocrl', '-certfile', this.alice.certificateFile, '-outform', 'DER'),
    ];
  }

  async encrypted(content: Buffer): Promise<Buffer[]> {
    const recipients = this.keys.map(({ certificate }) => ({ certificate }));
    const found: Buffer[] = [];
    for (const algorithm of ['aes256-cbc', 'aes256-gcm', 'aes128-ccm', 'chacha20-poly1305'] as const) {
      found.push(await encrypt({ content, algorithm, recipients, postQuantum: true }));
    }
    found.push(
      await encrypt({ content, algorithm: 'aes128-gcm', recipients: recipients.slice(0, 1), boundKey: true }),
    );
    const secrets = [
      { kind: 'shared-key', identifier: Buffer.from('kek'), key: Buffer.alloc(16, 7) },
      { kind: 'password', password: Buffer.from('password') },
    ] as const;
    found.push(await encrypt({ content, algorithm: 'aes128-cbc', recipients: [], secrets }));
    const input = ['-binary', '-outform', 'DER', '-in', this.folder.file('content', content)];
    const to = [this.alice, this.bob].map(({ certificateFile }) => certificateFile);
    const encryptBy = (...args: string[]): Buffer =>
      this.folder.openssl('cms', '-encrypt', ...input, ...args, ...to);
    found.push(
      encryptBy('-aes-128-cbc', '-stream'),
      encryptBy('-aes-128-gcm', '-keyid'),
      encryptBy('-des3'),
      this.folder.openssl(
        'cms',
        '-encrypt',
        ...input,
        '-aes128',
        '-recip',
        this.bob.certificateFile,
        '-keyopt',
        'rsa_padding_mode:oaep',
      ),
    );
    return found;
  }

  remove(): void {
    this.folder.remove();
  }
}

/** CompressedData (RFC 3274 §1.1). */
export function compressed(content: Buffer): Buffer {
  return contentInfo(
    contentTypes.compressedData,
    der.sequence(
      der.integer(0),
      algorithmIdentifier('1.2.840.113549.1.9.16.3.8'),
      der.sequence(der.oid(contentTypes.data), der.explicit(0, der.octetString(deflateSync(content)))),
    ),
  );
}
