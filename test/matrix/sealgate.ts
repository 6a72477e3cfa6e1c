import { ownCapabilities } from '../../src/cms/capabilities.ts';
import { decompress } from '../../src/cms/compressed-data.ts';
import type { ContentEncryptionName } from '../../src/cms/content-encryption.ts';
import { decrypt, type SharedSecrets } from '../../src/cms/decrypt.ts';
import { encrypt, type RecipientRequest, type SecretRecipient } from '../../src/cms/encrypt.ts';
import type { DecryptionKey, DigestName, SignatureScheme, SigningKey } from '../../src/cms/keys.ts';
import { certificatesOnly, type SignRequest, signDetached, signOpaque } from '../../src/cms/sign.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { type SignatureCheck, verifySignature } from '../../src/cms/verify.ts';
import { SealgateError } from '../../src/errors.ts';
import { keysOfPkcs12 } from '../../src/hsm/files/pkcs12-key.ts';
import { writePkcs12 } from '../../src/hsm/files/pkcs12-writer.ts';
import { Secret } from '../../src/log/secret.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';
import type { People } from './people.ts';
import {
  type EnvelopedMessage,
  EVERY_KIND,
  FILE_PASSWORD,
  type KeyFile,
  type KeyName,
  type MailMessage,
  PASSWORD,
  type Program,
  type Recipient,
  Refusal,
  SHARED_KEY_NAME,
  type SignedMessage,
  type Signer,
  type Specification,
} from './specification.ts';

/** The engine under test, as the gateway uses it: keys of src/hsm, messages of src/cms and src/smime. */
export class Sealgate implements Program {
  readonly name = 'Sealgate';
  readonly kinds = EVERY_KIND;
  readonly version: string;
  readonly #people: People;
  readonly #keys = new SoftwareKeys({ postQuantum: true });

  constructor(people: People, version: string) {
    this.#people = people;
    this.version = version;
  }

  async make(message: Specification): Promise<Buffer> {
    return await refusing(async () => {
      switch (message.kind) {
        case 'signed':
          return this.#sign(message);
        case 'enveloped':
          return this.#encrypt(message);
        case 'certificates-only':
          return certificatesOnly([
            this.#people.person('rsa').certificate,
            ...(message.withAuthority ? [this.#people.authority] : []),
          ]);
        case 'mail':
          return this.#mail(message);
        case 'compressed':
          throw new Refusal('not written');
        case 'key-file':
          return this.#keyFile(message);
      }
    });
  }

  async read(message: Specification, octets: Buffer, content: Buffer): Promise<Buffer> {
    return await refusing(async () => {
      switch (message.kind) {
        case 'signed':
          return this.#verify(message, octets, content);
        case 'enveloped':
          return this.#decrypt(message, octets);
        case 'compressed': {
          const opened = await decompress(octets, 1_000_000);
          if (opened.outcome === 'failed') throw new Refusal('not decompressed');
          return opened.content;
        }
        case 'certificates-only': {
          const signedData = readSignedData(octets);
          if (certificatesOf(signedData).length === 0) throw new Refusal('no certificates');
          return Buffer.alloc(0);
        }
        case 'mail':
          return this.#readMail(message, octets);
        case 'key-file': {
          const [key] = await keysOfPkcs12(octets, new Secret(FILE_PASSWORD), 'matrix');
          if (key === undefined) throw new Refusal('no key');
          return key.privateKey.export({ type: 'pkcs8', format: 'der' });
        }
      }
    });
  }

  close(): Promise<void> {
    return this.#keys.close();
  }

  #keyFile({ key, protection }: KeyFile): Promise<Buffer> {
    if (protection.kind === 'pbes1' || protection.kind === 'pbes2') throw new Refusal('not written');
    const { privateKey, certificate } = this.#people.person(key);
    const entry = { privateKey, certificate, chain: [this.#people.authority], friendlyName: key };
    const names = { default: 'current', legacy: 'old-programs', pbmac1: 'pbmac1' } as const;
    return writePkcs12([entry], new Secret(FILE_PASSWORD), { protection: names[protection.kind] });
  }

  #loaded(name: KeyName): LoadedKey {
    const { privateKey, certificate } = this.#people.person(name);
    return { label: name, certificate, chain: [], privateKey };
  }

  #signer({ key }: Signer): SigningKey {
    const signer = this.#keys.signingKey(this.#loaded(key));
    if (signer === null) throw new Refusal('a key that does not sign');
    return signer;
  }

  #reader(name: KeyName): DecryptionKey {
    const key = this.#keys.decryptionKey(this.#loaded(name));
    if (key === null) throw new Refusal('a key that does not decrypt');
    return key;
  }

  #sign(message: SignedMessage): Promise<Buffer> {
    const [signer, ...others] = message.signers;
    if (signer === undefined) throw new Error('no signer');
    const request: SignRequest & { content: Buffer } = {
      signer: this.#signer(signer),
      scheme: schemeOf(signer),
      signingTime: new Date(),
      capabilities: ownCapabilities,
      coSigners: others.map((one) => ({ signer: this.#signer(one), scheme: schemeOf(one) })),
      content: CONTENT,
    };
    return message.detached === true ? signDetached(request) : signOpaque(request);
  }

  #verify(message: SignedMessage, octets: Buffer, content: Buffer): Buffer {
    const signedData = readSignedData(octets);
    const signed = message.detached === true ? content : signedData.content;
    if (signed === null) throw new Refusal('no content');
    if (signedData.signerInfos.length === 0) throw new Refusal('no signer');
    for (const signerInfo of signedData.signerInfos) {
      const [certificate] = signerCandidates(signerInfo, certificatesOf(signedData));
      if (certificate === undefined) throw new Refusal('no certificate of the signer');
      const report = verifySignature(signedData, signerInfo, signed, certificate);
      if (report.signature !== 'good') throw new Refusal(`${report.signature} ${report.algorithm}`);
      const check = message.attribute === undefined ? undefined : CHECKS[message.attribute];
      if (
        check !== undefined &&
        !report.checks.some((one) => one.check === check && one.outcome === 'passed')
      ) {
        throw new AttributeMissing(`no ${message.attribute}`);
      }
    }
    return signed;
  }

  #encrypt(message: EnvelopedMessage): Promise<Buffer> {
    const recipients: RecipientRequest[] = [];
    const secrets: SecretRecipient[] = [];
    for (const recipient of message.recipients) {
      switch (recipient.kind) {
        case 'shared-key': {
          const key = this.#people.sharedKey(recipient.octets);
          secrets.push({ kind: 'shared-key', identifier: SHARED_KEY_NAME, key });
          break;
        }
        case 'password':
          secrets.push({ kind: 'password', password: Buffer.from(PASSWORD) });
          break;
        default:
          recipients.push(this.#request(recipient));
      }
    }
    return encrypt({
      content: CONTENT,
      // Rows with an algorithm that is never written are not asked of us.
      algorithm: message.cipher as ContentEncryptionName,
      recipients,
      secrets,
      postQuantum: true,
      boundKey: message.boundKey === true,
    });
  }

  #request(recipient: Exclude<Recipient, { kind: 'shared-key' | 'password' }>): RecipientRequest {
    const { certificate } = this.#people.person(recipient.key);
    return recipient.kind === 'oaep' ? { certificate, keyTransport: 'rsa-oaep' } : { certificate };
  }

  async #decrypt(message: EnvelopedMessage, octets: Buffer): Promise<Buffer> {
    const recipient = message.recipients[message.reader ?? 0];
    if (recipient === undefined) throw new Error('nobody reads');
    const keys: DecryptionKey[] = [];
    const secrets: SharedSecrets = {};
    if (recipient.kind === 'shared-key') {
      secrets.sharedKeys = [{ identifier: SHARED_KEY_NAME, key: this.#people.sharedKey(recipient.octets) }];
    } else if (recipient.kind === 'password') {
      secrets.passwords = [Buffer.from(PASSWORD)];
    } else {
      keys.push(this.#reader(recipient.key));
    }
    const opened = await decrypt(octets, keys, secrets);
    if (opened.outcome !== 'opened') throw new Refusal(`${opened.outcome} ${opened.algorithm}`);
    return opened.content;
  }

  async #mail(message: MailMessage): Promise<Buffer> {
    let octets: Buffer = Buffer.concat([MAIL_HEADER, CONTENT]);
    for (const layer of message.layers) {
      switch (layer) {
        case 'clear':
        case 'opaque': {
          const signer = this.#signer(message.signer);
          octets = await signMessage(octets, signer, { form: layer, at: new Date() });
          break;
        }
        case 'encrypted':
        case 'authenticated': {
          if (message.recipient.kind === 'shared-key' || message.recipient.kind === 'password')
            throw new Error('mail is for certificates');
          const request = this.#request(message.recipient);
          octets = await encryptMessage(
            octets,
            [request],
            layer === 'encrypted' ? 'aes256-cbc' : 'aes256-gcm',
          );
          break;
        }
        case 'compressed':
        case 'certificates-only':
          throw new Refusal('not written');
      }
    }
    return octets;
  }

  async #readMail({ layers, recipient }: MailMessage, octets: Buffer): Promise<Buffer> {
    if (recipient.kind === 'shared-key' || recipient.kind === 'password')
      throw new Error('mail is for certificates');
    const context = { at: new Date(), anchors: [this.#people.authority], pool: [] };
    const opening = await openMessage(octets, [this.#reader(recipient.key)], context);
    const found = opening.report.layers.flatMap((layer) => {
      if (layer.kind === 'encrypted') return [layer.authenticated ? 'authenticated' : 'encrypted'];
      if (layer.kind === 'compressed') return ['compressed'];
      const bad = layer.signatures.find(
        ({ signature, path }) => signature !== 'good' || path?.outcome !== 'valid',
      );
      if (bad !== undefined)
        throw new Refusal(`${bad.signature} ${bad.algorithm}, path ${bad.path?.outcome}`);
      return [layer.signatures.length === 0 ? 'certificates-only' : layer.form];
    });
    const expected = layers.toReversed().join(' ');
    if (found.join(' ') !== expected)
      throw new Refusal(`${opening.outcome}: ${found.join(' ')} instead of ${expected}`);
    return opening.entity;
  }
}

/** A program that does not write an attribute has not made what the row is about. */
export class AttributeMissing extends Refusal {
  override readonly name = 'AttributeMissing';
}

const CHECKS: Record<NonNullable<SignedMessage['attribute']>, SignatureCheck['check'] | undefined> = {
  'signing-certificate': 'signing-certificate',
  'signing-certificate-v2': 'signing-certificate',
  'algorithm-protection': 'algorithm-protection',
  'receipt-request': undefined,
};

const MAIL_HEADER = Buffer.from(
  'From: rsa@example.org\r\nTo: p-256@example.org\r\nSubject: A message\r\nMIME-Version: 1.0\r\n',
);

/** What every message holds: a MIME entity in canonical form. */
export const CONTENT = Buffer.from(
  `Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${'Good morning, this is a line.\r\n'.repeat(20)}`,
);

function schemeOf({ key, algorithm }: Signer): SignatureScheme {
  switch (algorithm.kind) {
    case 'of-the-key':
      if (key === 'ed25519') return { kind: 'eddsa', curve: 'Ed25519' };
      if (key === 'ed448') return { kind: 'eddsa', curve: 'Ed448' };
      return { kind: 'ml-dsa', parameterSet: key.toUpperCase() as 'ML-DSA-44' };
    case 'dsa':
      throw new Refusal('not written');
    case 'rsa-pss':
      return { kind: 'rsa-pss', digest: algorithm.digest as DigestName, saltOctets: algorithm.saltOctets };
    default:
      return { kind: algorithm.kind, digest: algorithm.digest as DigestName };
  }
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    throw new Refusal(`${error.code}${error.reason === undefined ? '' : `: ${error.reason}`}`);
  }
}
