import { decapsulate, diffieHellman, type KeyObject, sign } from 'node:crypto';
import type { DecryptionKey, KeyTransportScheme, SignatureScheme, SigningKey } from '../cms/keys.ts';
import type { Certificate } from '../pki/certificate.ts';
import { curveByName } from '../pki/curves.ts';
import { decryptFailed, errorOf, refused } from './failures.ts';
import type { LoadedKey } from './loaded-key.ts';
import { readOriginatorKey } from './originator-key.ts';
import { RsaDecryptionPool } from './rsa-decryption-pool.ts';
import { includesScheme, signatureSchemes } from './signature-schemes.ts';
import { cryptoParameters } from './verify-signature.ts';

export type { LoadedKey };

export type SoftwareKeysOptions = {
  /** Threads for RSA decryption; default 2. */
  decryptionThreads?: number;
  /**
   * Signatures given to libuv's pool at the same time; default 6. The pool (4 threads unless UV_THREADPOOL_SIZE says
   * otherwise) also serves file operations and name look-ups, which must not queue up behind RSA: with six they wait for
   * two signatures at most, a millisecond. With fewer than the threads they wait for none, but then threads fall asleep
   * between two signatures and have to be woken, which costs a tenth of the CPU of a signed mail.
   */
  parallelSignatures?: number;
  /** Whether keys for ML-DSA sign; default false, as few readers can verify it yet. */
  postQuantum?: boolean;
};

/** Makes usable keys of loaded ones, and owns the threads they work in. The event loop is never blocked. */
export class SoftwareKeys {
  readonly #pool: RsaDecryptionPool;
  readonly #slots: SigningSlots;
  readonly #postQuantum: boolean;

  constructor(options: SoftwareKeysOptions = {}) {
    this.#postQuantum = options.postQuantum ?? false;
    this.#pool = new RsaDecryptionPool(options.decryptionThreads ?? 2);
    this.#slots = new SigningSlots(options.parallelSignatures ?? 6);
  }

  /** null: the key is of a kind that does not sign (X25519). */
  signingKey(loaded: LoadedKey): SigningKey | null {
    const schemes = signatureSchemes(loaded.certificate, this.#postQuantum);
    return schemes.length === 0 ? null : new SoftwareSigningKey(loaded, schemes, this.#slots);
  }

  /** null: the key is of a kind that does not decrypt (Ed25519, RSASSA-PSS). */
  decryptionKey(loaded: LoadedKey): DecryptionKey | null {
    const key = loaded.privateKey;
    switch (key.asymmetricKeyType) {
      case 'rsa':
      case 'x25519':
      case 'x448':
      case 'ml-kem-512':
      case 'ml-kem-768':
      case 'ml-kem-1024':
        return new SoftwareDecryptionKey(loaded, this.#pool);
      case 'ec':
        return curveByName(key.asymmetricKeyDetails?.namedCurve) === null
          ? null
          : new SoftwareDecryptionKey(loaded, this.#pool);
      default:
        return null;
    }
  }

  close(): Promise<void> {
    return this.#pool.close();
  }
}

class SoftwareSigningKey implements SigningKey {
  readonly label: string;
  readonly certificate: Certificate;
  readonly chain: readonly Certificate[];
  readonly schemes: readonly SignatureScheme[];
  readonly #privateKey: KeyObject;
  readonly #slots: SigningSlots;

  constructor(loaded: LoadedKey, schemes: readonly SignatureScheme[], slots: SigningSlots) {
    this.label = loaded.label;
    this.certificate = loaded.certificate;
    this.chain = loaded.chain;
    this.schemes = schemes;
    this.#privateKey = loaded.privateKey;
    this.#slots = slots;
  }

  async sign(scheme: SignatureScheme, data: Uint8Array): Promise<Buffer> {
    if (!includesScheme(this.schemes, scheme)) throw errorOf(refused(`scheme ${scheme.kind}`));
    const { digest, options } = cryptoParameters(scheme);
    await this.#slots.enter();
    try {
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
      sign(digest, data, { key: this.#privateKey, ...options }, settling(resolve, reject));
      return await promise;
    } finally {
      this.#slots.leave();
    }
  }
}

const AGREEING: ReadonlySet<string | undefined> = new Set(['ec', 'x25519', 'x448']);
const ENCAPSULATED: ReadonlySet<string | undefined> = new Set(['ml-kem-512', 'ml-kem-768', 'ml-kem-1024']);

/**
 * The callback of an operation in libuv's pool, made apart from the octets that are signed. V8 keeps a callback until its next
 * collection of the old generation; one that could see the octets would keep them too, and with them the mail whose memory
 * they share. That made such a collection necessary every 200 mails, for a fifth of all CPU.
 */
function settling(resolve: (signature: Buffer) => void, reject: (error: Error) => void) {
  return (error: Error | null, signature: Buffer): void => {
    if (error === null) resolve(signature);
    else reject(errorOf(refused(error.message)));
  };
}

class SoftwareDecryptionKey implements DecryptionKey {
  readonly label: string;
  readonly certificate: Certificate;
  readonly #privateKey: KeyObject;
  readonly #pool: RsaDecryptionPool;

  constructor(loaded: LoadedKey, pool: RsaDecryptionPool) {
    this.label = loaded.label;
    this.certificate = loaded.certificate;
    this.#privateKey = loaded.privateKey;
    this.#pool = pool;
  }

  async decryptKey(scheme: KeyTransportScheme, encryptedKey: Uint8Array): Promise<Buffer> {
    if (this.#privateKey.asymmetricKeyType !== 'rsa') throw errorOf(refused('not an RSA key'));
    // RFC 8017 §7.1.2 step 1b, §7.2.2 step 1; OpenSSL takes shorter ones, so that one message had two encodings.
    const bits = this.#privateKey.asymmetricKeyDetails?.modulusLength ?? 0;
    if (encryptedKey.length !== Math.ceil(bits / 8))
      throw errorOf(decryptFailed('length of the encrypted key'));
    return this.#pool.decrypt(this.#privateKey, scheme, encryptedKey);
  }

  async agree(originatorPublicKey: Uint8Array): Promise<Buffer> {
    if (!AGREEING.has(this.#privateKey.asymmetricKeyType)) throw errorOf(refused('not a key for agreement'));
    const publicKey = readOriginatorKey(this.certificate, originatorPublicKey);
    return new Promise((resolve, reject) => {
      diffieHellman({ privateKey: this.#privateKey, publicKey }, (error, secret) => {
        // RFC 7748 §6.1: an all-zero result (a point of small order) is an error of OpenSSL's.
        if (error === null) resolve(secret);
        else reject(errorOf(decryptFailed('key agreement')));
      });
    });
  }

  async decapsulate(ciphertext: Uint8Array): Promise<Buffer> {
    if (!ENCAPSULATED.has(this.#privateKey.asymmetricKeyType)) throw errorOf(refused('not an ML-KEM key'));
    return new Promise((resolve, reject) => {
      decapsulate(this.#privateKey, ciphertext, (error, secret) => {
        if (error === null) resolve(secret);
        else reject(errorOf(decryptFailed('length of the ciphertext')));
      });
    });
  }
}

/** Lets so many in at a time, in the order they came. */
class SigningSlots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(slots: number) {
    this.#free = slots;
  }

  async enter(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
