import {
  constants,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import pkcs11 from 'pkcs11js';
import type { OpeningWay } from './key-handle.ts';
import { returnValueOf } from './pkcs11-errors.ts';
import type { KeyAbilities } from './token-abilities.ts';
import { derive, type KeyUse, oaepMechanism, unwrap } from './token-key-use.ts';
import { type TokenPublicKey, tokenPublicKey } from './token-public-key.ts';

/**
 * Some abilities show only when they are tried: whether a token lets the value of a derived or unwrapped secret be read
 * is said nowhere. One try for each kind of key; a key that wants the PIN for each use is not tried.
 */

export type ProbedKey = {
  object: Buffer;
  key: KeyObject;
  publicKey: TokenPublicKey;
  alwaysAuthenticate: boolean;
};

export class AbilityProbes {
  readonly #module: pkcs11.PKCS11;
  readonly #session: Buffer;
  readonly #outcomes = new Map<string, boolean>();

  constructor(module: pkcs11.PKCS11, session: Buffer) {
    this.#module = module;
    this.#session = session;
  }

  /** What remains of `abilities`. @throws what pkcs11js throws when the token is gone */
  proven(key: ProbedKey, abilities: KeyAbilities): KeyAbilities {
    const { pkcs1, oaep, agreement } = abilities;
    const mechanism = agreement;
    return {
      ...abilities,
      pkcs1: this.#unwrapping(key, pkcs1, 'pkcs1'),
      oaep: this.#unwrapping(key, oaep, 'oaep'),
      agreement: mechanism !== null && this.#agrees(key, mechanism) ? mechanism : null,
    };
  }

  #unwrapping(key: ProbedKey, ways: readonly OpeningWay[], padding: 'pkcs1' | 'oaep'): readonly OpeningWay[] {
    if (!ways.includes('unwrapped')) return ways;
    if (key.alwaysAuthenticate) return ways.filter((way) => way !== 'unwrapped');
    const works = this.#once(`unwrap ${padding}`, () => {
      const secret = randomBytes(32);
      const options =
        padding === 'pkcs1'
          ? { padding: constants.RSA_PKCS1_PADDING }
          : { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
      const encrypted = publicEncrypt({ key: key.key, ...options }, secret);
      const mechanism = padding === 'pkcs1' ? { mechanism: pkcs11.CKM_RSA_PKCS } : oaepMechanism(SHA256);
      return unwrap(this.#use(key), mechanism, encrypted)?.equals(secret) === true;
    });
    return works ? ways : ways.filter((way) => way !== 'unwrapped');
  }

  #agrees(key: ProbedKey, mechanism: number): boolean {
    if (key.alwaysAuthenticate) return true;
    const { type, octets } = key.publicKey;
    const curve = key.key.asymmetricKeyDetails?.namedCurve ?? key.key.asymmetricKeyType ?? type;
    return this.#once(`agree ${curve}`, () => {
      const other = ephemeral(key.key);
      const point = other === null ? null : tokenPublicKey(other.publicKey);
      if (other === null || point === null) return false;
      const secret = diffieHellman({ privateKey: other.privateKey, publicKey: key.key });
      return derive(this.#use(key), mechanism, point.value, octets)?.equals(secret) === true;
    });
  }

  /** An error of the token means that it does not do it, unless the token is gone: then nothing is known. */
  #once(name: string, attempt: () => boolean): boolean {
    const known = this.#outcomes.get(name);
    if (known !== undefined) return known;
    let outcome: boolean;
    try {
      outcome = attempt();
    } catch (error) {
      const value = returnValueOf(error);
      if (value === null) throw error;
      // Throws when the session is not there any more.
      this.#module.C_GetSessionInfo(this.#session);
      outcome = false;
    }
    this.#outcomes.set(name, outcome);
    return outcome;
  }

  #use({ object }: ProbedKey): KeyUse {
    return { module: this.#module, session: this.#session, object, begun: NOTHING, authenticate: NOTHING };
  }
}

const NOTHING = (): void => undefined;

const SHA256 = { kind: 'rsa-oaep', digest: 'sha256', maskDigest: 'sha256', label: Buffer.alloc(0) } as const;

/** A key pair on the same curve; null: no curve for agreement. */
function ephemeral(key: KeyObject): { publicKey: KeyObject; privateKey: KeyObject } | null {
  switch (key.asymmetricKeyType) {
    case 'ec': {
      const namedCurve = key.asymmetricKeyDetails?.namedCurve;
      return namedCurve === undefined ? null : generateKeyPairSync('ec', { namedCurve });
    }
    case 'x25519':
      return generateKeyPairSync('x25519');
    case 'x448':
      return generateKeyPairSync('x448');
    default:
      return null;
  }
}
