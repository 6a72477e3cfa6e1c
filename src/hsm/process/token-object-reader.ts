import pkcs11 from 'pkcs11js';
import { returnValueOf } from './pkcs11-errors.ts';

/** Objects of one class beyond this many are not looked at: a token for a whole house, and a bound for a broken one. */
const MAX_OBJECTS = 20_000;
/** Longer than any certificate for mail; octets. */
const LONGEST_ATTRIBUTE = 256 * 1024;

/**
 * Reads objects of a token (PKCS#11 v2.40, object management). Attributes one by one: one that a token does not have makes
 * C_GetAttributeValue fail for all that are asked.
 */
export class TokenObjectReader {
  readonly #module: pkcs11.PKCS11;
  readonly #session: Buffer;

  constructor(module: pkcs11.PKCS11, session: Buffer) {
    this.#module = module;
    this.#session = session;
  }

  /** Handles of all objects of a class (CKO_…). @throws what pkcs11js throws */
  find(objectClass: number): Buffer[] {
    const objects: Buffer[] = [];
    this.#module.C_FindObjectsInit(this.#session, [{ type: pkcs11.CKA_CLASS, value: objectClass }]);
    try {
      while (objects.length < MAX_OBJECTS) {
        const more = this.#module.C_FindObjects(this.#session, 256);
        if (more.length === 0) break;
        objects.push(...more);
      }
    } finally {
      this.#module.C_FindObjectsFinal(this.#session);
    }
    return objects;
  }

  /** null: the token does not have it, does not show it, or it is empty. */
  octets(object: Buffer, type: number): Buffer | null {
    try {
      const value = this.#module.C_GetAttributeValue(this.#session, object, [{ type }])[0]?.value ?? null;
      return value === null || value.length === 0 || value.length > LONGEST_ATTRIBUTE ? null : value;
    } catch (error) {
      if (returnValueOf(error) === null) throw error;
      return null;
    }
  }

  flag(object: Buffer, type: number): boolean {
    return this.octets(object, type)?.[0] === 1;
  }

  /** CK_ULONG, in the machine's order: little-endian on every platform Node runs on here. */
  number(object: Buffer, type: number): number | null {
    const value = this.octets(object, type);
    return value === null || value.length < 4 ? null : value.readUInt32LE(0);
  }

  /** CK_ULONG values in a row; null: the token says nothing. */
  numbers(object: Buffer, type: number): ReadonlySet<number> | null {
    const value = this.octets(object, type);
    if (value === null) return null;
    const numbers = new Set<number>();
    for (let at = 0; at + CK_ULONG_OCTETS <= value.length; at += CK_ULONG_OCTETS)
      numbers.add(value.readUInt32LE(at));
    return numbers;
  }

  /** Some tokens fill up with NUL. */
  text(object: Buffer, type: number): string {
    return this.octets(object, type)?.toString('utf8').replace(/\0.*$/s, '') ?? '';
  }
}

/** On every 64-bit system but Windows. */
const CK_ULONG_OCTETS = 8;
