import { webcrypto } from 'node:crypto';
import type {
  DecryptionKey,
  DigestName,
  KeyTransportScheme,
  SignatureScheme,
  SigningKey,
} from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { errorOf, refused } from './failures.ts';
import type { HeldKey } from './held-key.ts';
import type { OpeningAbility } from './inventory.ts';
import type { KeyPlace } from './key-state.ts';
import type { KeyStanding, KnownKey } from './known-key.ts';
import type { Operation } from './operation.ts';
import { readOriginatorKey } from './originator-key.ts';
import type { RateLimit } from './rate-limit.ts';
import { includesScheme } from './signature-schemes.ts';
import { verifySignature } from './verify-signature.ts';

/** A private key in a key process, together with one certificate for it; what it does is asked of the process. */
export type ProcessKeyDetails = {
  source: string;
  name: string;
  use: 'sign' | 'decrypt' | null;
  /** For people: unique among all keys. */
  label: string;
  certificate: Certificate;
  chain: readonly Certificate[];
  held: HeldKey;
  /** null: no limit. */
  limit: RateLimit | null;
};

/** Longer messages for a token are hashed here, off the event loop, rather than sent to the key process. Octets. */
const LONGEST_MESSAGE = 64 * 1024;

abstract class ProcessKey implements KnownKey {
  readonly source: string;
  readonly name: string;
  readonly use: 'sign' | 'decrypt' | null;
  readonly label: string;
  readonly certificate: Certificate;
  protected readonly held: HeldKey;
  readonly #limit: RateLimit | null;

  constructor({ source, name, use, label, certificate, held, limit }: ProcessKeyDetails) {
    this.source = source;
    this.name = name;
    this.use = use;
    this.label = label;
    this.certificate = certificate;
    this.held = held;
    this.#limit = limit;
  }

  get standing(): KeyStanding {
    return this.held.standing;
  }

  protected count(): void {
    this.#limit?.take(this.label);
  }
}

export class ProcessSigningKey extends ProcessKey implements SigningKey {
  readonly chain: readonly Certificate[];
  readonly schemes: readonly SignatureScheme[];
  /** By place: the key process whose signature was checked last. */
  readonly #checked = new WeakMap<KeyPlace, number>();

  /** @param schemes what one of the places at least can do, most preferred first */
  constructor(details: ProcessKeyDetails, schemes: readonly SignatureScheme[]) {
    super(details);
    this.chain = details.chain;
    this.schemes = schemes;
  }

  async sign(scheme: SignatureScheme, data: Uint8Array): Promise<Buffer> {
    if (!includesScheme(this.schemes, scheme)) throw errorOf(refused(`scheme ${scheme.kind}`));
    this.count();
    const long = data.length > LONGEST_MESSAGE && 'digest' in scheme && !this.held.isInFile;
    const { octets, place } = await this.held.perform(
      {
        kind: 'sign',
        key: this.held.key,
        scheme,
        input: long ? 'digest' : 'message',
        data: long ? await digestOf(scheme.digest, data) : data,
      },
      this.label,
      ({ schemes }) => includesScheme(schemes, scheme),
    );
    await this.#check(place, scheme, data, octets);
    return octets;
  }

  /** Once with each process: a token whose certificate belongs to another key would sign for nobody, and unseen. */
  async #check(place: KeyPlace, scheme: SignatureScheme, data: Uint8Array, signature: Buffer): Promise<void> {
    const { generation } = place;
    if (this.#checked.get(place) === generation) return;
    if (!(await verifySignature(this.certificate.publicKey, scheme, data, signature))) {
      throw new SealgateError({
        code: 'key.refused',
        publicText: `The private key ${this.label} does not belong to its certificate; ask the operator to put the right certificate in its place.`,
        duration: 'permanent',
        reason: 'the signature does not verify with the certificate',
      });
    }
    this.#checked.set(place, generation);
  }
}

export class ProcessDecryptionKey extends ProcessKey implements DecryptionKey {
  readonly readsOaep: boolean;
  readonly #opens: ReadonlySet<OpeningAbility>;

  /** @param opens what one of the places at least can do */
  constructor(details: ProcessKeyDetails, opens: ReadonlySet<OpeningAbility>) {
    super(details);
    this.#opens = opens;
    this.readsOaep = !opens.has('rsa-pkcs1') || opens.has('rsa-oaep');
  }

  get isOpen(): boolean {
    return this.isThere && !this.held.wantsPinEachTime;
  }

  get isThere(): boolean {
    return this.standing === 'open';
  }

  async decryptKey(scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer> {
    return await this.#open(scheme.kind, { kind: 'decrypt', key: this.held.key, scheme, encryptedKey });
  }

  async agree(originatorPublicKey: Uint8Array): Promise<Buffer> {
    this.#require('agree');
    const key = readOriginatorKey(this.certificate, originatorPublicKey);
    const originator = key.export({ type: 'spki', format: 'der' });
    return await this.#open('agree', { kind: 'agree', key: this.held.key, originator });
  }

  async decapsulate(ciphertext: Uint8Array): Promise<Buffer> {
    return await this.#open('decapsulate', { kind: 'decapsulate', key: this.held.key, ciphertext });
  }

  async #open(ability: OpeningAbility, operation: Operation): Promise<Buffer> {
    this.#require(ability);
    this.count();
    const isAble = ({ opens }: { opens: readonly OpeningAbility[] }): boolean => opens.includes(ability);
    return (await this.held.perform(operation, this.label, isAble)).octets;
  }

  #require(ability: OpeningAbility): void {
    if (!this.#opens.has(ability)) throw errorOf(refused(ability));
  }
}

/** On the thread pool. */
async function digestOf(digest: DigestName, data: Uint8Array): Promise<Buffer> {
  const name = { sha1: 'SHA-1', sha224: null, sha256: 'SHA-256', sha384: 'SHA-384', sha512: 'SHA-512' }[
    digest
  ];
  if (name === null) throw errorOf(refused(digest));
  return Buffer.from(await webcrypto.subtle.digest(name, data as Uint8Array<ArrayBuffer>));
}
