import pkcs11 from 'pkcs11js';
import type { TokenKeyType, TokenOnSlot } from '../../management-messages.ts';
import { returnValueOf } from '../pkcs11-errors.ts';
import { CKM_EDDSA } from '../pkcs11-numbers.ts';

/** What a token can do by its list of mechanisms (C_GetMechanismList, C_GetMechanismInfo), for people. */

/** PKCS#11 v3.0. */
const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;

const SIGNS: readonly (readonly [string, readonly number[]])[] = [
  [
    'RSA PKCS#1 v1.5',
    [pkcs11.CKM_RSA_PKCS, pkcs11.CKM_SHA256_RSA_PKCS, pkcs11.CKM_SHA384_RSA_PKCS, pkcs11.CKM_SHA512_RSA_PKCS],
  ],
  ['RSA PSS', [pkcs11.CKM_RSA_PKCS_PSS, pkcs11.CKM_SHA256_RSA_PKCS_PSS, pkcs11.CKM_RSA_X_509]],
  ['ECDSA', [pkcs11.CKM_ECDSA, pkcs11.CKM_ECDSA_SHA256]],
  ['EdDSA', [CKM_EDDSA]],
];

const OPENS: readonly (readonly [string, readonly number[]])[] = [
  ['RSA PKCS#1 v1.5', [pkcs11.CKM_RSA_PKCS, pkcs11.CKM_RSA_X_509]],
  ['RSA OAEP', [pkcs11.CKM_RSA_PKCS_OAEP, pkcs11.CKM_RSA_X_509]],
  ['ECDH', [pkcs11.CKM_ECDH1_DERIVE, pkcs11.CKM_ECDH1_COFACTOR_DERIVE]],
];

const GENERATES: readonly { type: TokenKeyType; mechanism: number; bits: number }[] = [
  { type: 'rsa-2048', mechanism: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits: 2048 },
  { type: 'rsa-3072', mechanism: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits: 3072 },
  { type: 'rsa-4096', mechanism: pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, bits: 4096 },
  { type: 'p-256', mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, bits: 256 },
  { type: 'p-384', mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, bits: 384 },
  { type: 'p-521', mechanism: pkcs11.CKM_EC_KEY_PAIR_GEN, bits: 521 },
  { type: 'ed25519', mechanism: CKM_EC_EDWARDS_KEY_PAIR_GEN, bits: 255 },
];

export class MechanismSummary {
  readonly #module: pkcs11.PKCS11;
  readonly #slot: Buffer;
  readonly #offered: ReadonlySet<number>;

  constructor(module: pkcs11.PKCS11, slot: Buffer) {
    this.#module = module;
    this.#slot = slot;
    this.#offered = new Set(module.C_GetMechanismList(slot));
  }

  offers(mechanism: number): boolean {
    return this.#offered.has(mechanism);
  }

  /** The mechanism that generates such a key; null: the token has none. */
  generator(type: TokenKeyType): number | null {
    const row = GENERATES.find((one) => one.type === type);
    return row !== undefined && this.#offers(row.mechanism, row.bits) ? row.mechanism : null;
  }

  get abilities(): TokenOnSlot['abilities'] {
    const namesOf = (rows: typeof SIGNS) =>
      rows.filter(([, mechanisms]) => mechanisms.some((one) => this.offers(one))).map(([name]) => name);
    return {
      generates: GENERATES.filter(({ type }) => this.generator(type) !== null).map(({ type }) => type),
      signs: namesOf(SIGNS),
      opens: namesOf(OPENS),
    };
  }

  /** Sizes are told in bits by most modules; some tell 0, and those of Edwards curves differ by one. */
  #offers(mechanism: number, bits: number): boolean {
    if (!this.offers(mechanism)) return false;
    try {
      const { minKeySize, maxKeySize } = this.#module.C_GetMechanismInfo(this.#slot, mechanism);
      return maxKeySize === 0 || (minKeySize <= bits + 1 && bits <= maxKeySize);
    } catch (error) {
      if (returnValueOf(error) === null) throw error;
      return true;
    }
  }
}
