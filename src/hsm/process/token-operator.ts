import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import type { KeyTransportScheme } from '../../cms/keys.ts';
import { SealgateError, unreachable } from '../../errors.ts';
import { decryptFailed, FailureError, refused } from '../failures.ts';
import type { Failure } from '../messages.ts';
import type { Operation } from '../operation.ts';
import { pointOf, readOriginatorKey } from '../originator-key.ts';
import { includesScheme } from '../signature-schemes.ts';
import type { KeyHandle } from './key-handle.ts';
import type { KeyOperator } from './key-operator.ts';
import { decodeOaep } from './oaep.ts';
import { failureOfUse, isRefusal, isReturnValue, reasonOf, returnValueOf } from './pkcs11-errors.ts';
import { isCiphertext, nothingUpTheSleeve } from './rsa-numbers.ts';
import { decodePkcs1 } from './rsa-pkcs1-unpadding.ts';
import { decrypt, derive, type KeyUse, oaepMechanism, sign, unwrap } from './token-key-use.ts';
import { ecdsaSigValue, signingInput, signingMechanism } from './token-signature.ts';

export type TokenOperatorOptions = {
  module: pkcs11.PKCS11;
  /** Logged in, where the token wants that. The operator replaces it when an operation was left unfinished in it. */
  session: Buffer;
  handles: ReadonlyMap<string, KeyHandle>;
  /** A card: what its module says may mean that it is being pulled out. */
  removable: boolean;
  /**
   * Sends the PIN again (CKU_CONTEXT_SPECIFIC) for a key that asks for it at each use.
   *
   * @throws FailureError
   */
  authenticate(session: Buffer): void;
};

type Sign = Extract<Operation, { kind: 'sign' }>;
type Oaep = Extract<KeyTransportScheme, { kind: 'rsa-oaep' }>;

/** Uses the private keys of a token in one session; every call blocks its thread until the token has answered. */
export class TokenOperator implements KeyOperator {
  readonly #options: TokenOperatorOptions;
  readonly #state: number;
  #session: Buffer;
  /** The mechanism of the operation under way has been accepted. */
  #begun = false;
  /** The token looks into the octets of a stranger: what fails now may fail because of them. */
  #judging = false;
  /** By the key's name. */
  readonly #publicKeys = new Map<string, KeyObject>();
  /** By the key's name: what its wrong paddings are turned into messages with. */
  readonly #rejection = new Map<string, Buffer>();

  constructor(options: TokenOperatorOptions) {
    this.#options = options;
    this.#session = options.session;
    this.#state = options.module.C_GetSessionInfo(options.session).state;
  }

  /** @throws FailureError; with `sessionLost` when nothing more can be done in this process */
  perform(operation: Operation): Buffer {
    const key = this.#options.handles.get(operation.key);
    if (key === undefined) throw new FailureError(refused('the key is not on the token'));
    this.#judging = false;
    try {
      try {
        return this.#perform(key, operation);
      } catch (error) {
        // Left over from an operation that the module did not finish; a new session is clean.
        if (!isReturnValue(error, pkcs11.CKR_OPERATION_ACTIVE)) throw error;
        this.#renewSession();
        return this.#perform(key, operation);
      }
    } catch (error) {
      throw new FailureError(this.#failureOf(error, operation.kind !== 'sign'));
    }
  }

  #failureOf(error: unknown, attackable: boolean): Failure {
    if (error instanceof FailureError) return error.failure;
    // Ours alone: what the originator sent is no key for this one.
    if (error instanceof SealgateError) return decryptFailed(error.code);
    const leaving = this.#mayBeLeaving(error);
    // What a stranger sent must not end the process of a card, nor be told from other damage.
    if (leaving && this.#judging) return decryptFailed(reasonOf(error));
    return failureOfUse(error, {
      attackable,
      judging: this.#judging,
      sessionAlive: () => !leaving && this.#sessionAlive(),
    });
  }

  #perform(key: KeyHandle, operation: Operation): Buffer {
    switch (operation.kind) {
      case 'sign':
        return this.#sign(key, operation);
      case 'decrypt':
        return this.#decrypt(operation.key, key, operation.scheme, Buffer.from(operation.encryptedKey));
      case 'agree':
        return this.#agree(operation.key, key, operation.originator);
      case 'decapsulate':
        throw new FailureError(refused('ML-KEM on a token'));
      default:
        return unreachable(operation);
    }
  }

  #sign(key: KeyHandle, operation: Sign): Buffer {
    const { scheme, input } = operation;
    const ways = key.signing.filter(
      (way) => includesScheme([way.scheme], scheme) && (input === 'message' || way.input !== 'message'),
    );
    return this.#firstThatWorks(ways, `scheme ${scheme.kind}`, (way) => {
      const data = signingInput(way, operation);
      const signature = sign(this.#use(key), signingMechanism(way), data, 2 * key.octets);
      return scheme.kind === 'ecdsa' ? ecdsaSigValue(signature) : signature;
    });
  }

  #decrypt(name: string, key: KeyHandle, scheme: KeyTransportScheme, encrypted: Buffer): Buffer {
    const ways = scheme.kind === 'rsa-pkcs1' ? key.pkcs1 : key.oaep;
    if (ways.length > 0 && !isCiphertext(encrypted, this.#publicKey(name, key))) {
      throw new FailureError(decryptFailed('the encrypted key is no number of this key'));
    }
    return this.#firstThatWorks(ways, `decryption with ${scheme.kind}`, (way) => {
      switch (way) {
        case 'bare':
          return scheme.kind === 'rsa-pkcs1'
            ? decodePkcs1(this.#bare(key, encrypted), encrypted, this.#rejectionSecret(name, key))
            : decodedOaep(this.#bare(key, encrypted), scheme);
        case 'padded':
          return decrypt(this.#useOnOctets(key), paddedMechanism(scheme), encrypted, key.octets);
        case 'unwrapped':
          return shown(unwrap(this.#useAtOnce(key), paddedMechanism(scheme), encrypted));
        default:
          return unreachable(way);
      }
    });
  }

  /** m = c^d, as long as the modulus; some modules drop leading zeros. */
  #bare(key: KeyHandle, encrypted: Buffer): Buffer {
    const bare = decrypt(this.#use(key), { mechanism: pkcs11.CKM_RSA_X_509 }, encrypted, key.octets);
    return Buffer.concat([Buffer.alloc(Math.max(0, key.octets - bare.length)), bare]);
  }

  /**
   * What only the holder of the private key can compute, and the same on every token that has it: the private operation on a
   * number that nobody chose. Made before the first padding is looked at, so that its time tells nothing.
   */
  #rejectionSecret(name: string, key: KeyHandle): Buffer {
    const known = this.#rejection.get(name);
    if (known !== undefined) return known;
    const root = this.#bare(key, nothingUpTheSleeve(key.publicKey, key.octets));
    const secret = createHash('sha256').update(root).digest();
    root.fill(0);
    this.#rejection.set(name, secret);
    return secret;
  }

  #agree(name: string, key: KeyHandle, originator: Uint8Array): Buffer {
    if (key.agreement === null) throw new FailureError(refused('CKA_DERIVE'));
    const own = {
      publicKey: this.#publicKey(name, key),
      subjectPublicKeyInfo: Buffer.from(key.publicKey),
    };
    const { point, octets } = pointOf(readOriginatorKey(own, originator));
    const secret = shown(derive(this.#use(key), key.agreement, point, octets));
    if (secret.length !== octets) throw new FailureError(refused('a shared secret of another length'));
    // RFC 7748 §6.1: what a point of small order gives.
    if (secret.every((octet) => octet === 0)) throw new FailureError(decryptFailed('key agreement'));
    return secret;
  }

  #publicKey(name: string, { publicKey }: KeyHandle): KeyObject {
    const known = this.#publicKeys.get(name);
    if (known !== undefined) return known;
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    this.#publicKeys.set(name, key);
    return key;
  }

  /** The next way only where this one is not taken for the key; a failure on the octets is final. */
  #firstThatWorks<Way>(ways: readonly Way[], what: string, attempt: (way: Way) => Buffer): Buffer {
    let refusal: unknown = new FailureError(refused(what));
    for (const way of ways) {
      this.#begun = false;
      try {
        return attempt(way);
      } catch (error) {
        if (this.#begun || !isRefusal(error)) throw error;
        refusal = error;
      }
    }
    throw refusal;
  }

  #use(key: KeyHandle): KeyUse {
    const { module, authenticate } = this.#options;
    const session = this.#session;
    return {
      module,
      session,
      object: Buffer.from(key.object),
      begun: () => {
        this.#begun = true;
      },
      authenticate: () => {
        if (key.alwaysAuthenticate) authenticate(session);
      },
    };
  }

  /** For operations in which the token takes the padding off. */
  #useOnOctets(key: KeyHandle): KeyUse {
    const use = this.#use(key);
    return {
      ...use,
      begun: () => {
        use.begun();
        this.#judging = true;
      },
    };
  }

  /** The same for operations of one call: the token cannot refuse the mechanism ahead of the octets. */
  #useAtOnce(key: KeyHandle): KeyUse {
    this.#begun = true;
    this.#judging = true;
    return this.#use(key);
  }

  /** The new one first: a token logs out when its last session is closed. */
  #renewSession(): void {
    const { module } = this.#options;
    const old = this.#session;
    const { slotID, flags } = module.C_GetSessionInfo(old);
    this.#session = module.C_OpenSession(slotID, flags);
    module.C_CloseSession(old);
  }

  /**
   * Pulled out a moment ago, which the reader notices later, a card fails like this; and the next call into OpenSC before 0.24 never
   * comes back (https://github.com/OpenSC/OpenSC/issues/2707). So nothing more is asked in this process.
   */
  #mayBeLeaving(error: unknown): boolean {
    return this.#options.removable && UNCLEAR.some((code) => isReturnValue(error, code));
  }

  /** In the state it was opened in: a token that was reset in between has sessions, but nobody is logged in to it. */
  #sessionAlive(): boolean {
    try {
      return this.#options.module.C_GetSessionInfo(this.#session).state === this.#state;
    } catch (error) {
      // Whatever it says: a session that cannot be asked is not alive.
      if (returnValueOf(error) === null) throw error;
      return false;
    }
  }
}

const UNCLEAR = [pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_ERROR];

function paddedMechanism(scheme: KeyTransportScheme): pkcs11.Mechanism {
  return scheme.kind === 'rsa-pkcs1' ? { mechanism: pkcs11.CKM_RSA_PKCS } : oaepMechanism(scheme);
}

function decodedOaep(encoded: Buffer, { digest, maskDigest, label }: Oaep): Buffer {
  const message = decodeOaep(encoded, digest, maskDigest, label);
  encoded.fill(0);
  if (message === null) throw new FailureError(decryptFailed('OAEP'));
  return message;
}

function shown(value: Buffer | null): Buffer {
  if (value === null) throw new FailureError(refused('the token does not show what it computed'));
  return value;
}
