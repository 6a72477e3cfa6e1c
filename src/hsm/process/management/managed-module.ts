import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import { withoutControls } from '../../../log/printable.ts';
import { errorOf, FailureError } from '../../failures.ts';
import type { TokenSelector } from '../../source-kinds.ts';
import { returnValueOf } from '../pkcs11-errors.ts';
import { initialize, loadModule } from '../token-slot.ts';

/** Flags of CK_SLOT_INFO, which pkcs11js does not name. */
export const CKF_TOKEN_PRESENT = 1;
export const CKF_REMOVABLE_DEVICE = 2;

/**
 * A PKCS#11 module that is loaded for one request (PKCS#11 v2.40, slot and token management).
 *
 * Must never happen: a request goes to a token that is not the one meant, because several would fit.
 */
export class ManagedModule implements Disposable {
  readonly pkcs11: pkcs11.PKCS11;
  readonly path: string;

  private constructor(module: pkcs11.PKCS11, path: string) {
    this.pkcs11 = module;
    this.path = path;
  }

  /** @throws SealgateError `key.module-unreadable`, `key.unavailable` */
  static open(path: string, initArgs: string | null): ManagedModule {
    try {
      const module = loadModule(path);
      initialize(module, initArgs);
      return new ManagedModule(module, path);
    } catch (error) {
      throw error instanceof FailureError ? errorOf(error.failure) : error;
    }
  }

  slots(): ManagedSlot[] {
    return this.pkcs11.C_GetSlotList(false).map((id) => new ManagedSlot(this, id));
  }

  /**
   * The one token that is meant.
   *
   * @throws SealgateError `key.token-absent`, `key.token-ambiguous`
   */
  token(selector: TokenSelector): ManagedSlot {
    const present = this.slots().filter((slot) => slot.isInitialised);
    return theOne(present, present, selector);
  }

  [Symbol.dispose](): void {
    try {
      this.pkcs11.C_Finalize();
    } catch (error) {
      // The process ends at once; what the module still wanted to say changes nothing.
      if (returnValueOf(error) === null) throw error;
    }
  }
}

/** @param all what is there, for the sentence */
export function theOne(
  candidates: readonly ManagedSlot[],
  all: readonly ManagedSlot[],
  selector: TokenSelector,
): ManagedSlot {
  const fitting = candidates.filter((slot) => slot.fits(selector));
  const [only, second] = fitting;
  if (only !== undefined && second === undefined) return only;
  const there = (slots: readonly ManagedSlot[]) => slots.map((slot) => slot.nameForPeople()).join(', ');
  if (only === undefined) {
    throw new SealgateError({
      code: 'key.token-absent',
      duration: 'temporary',
      publicText:
        all.length === 0
          ? 'No token is there; plug it in or insert the card, and look with “sealgate token list”.'
          : `No token fits${inWords(selector)}; there are: ${there(all)}. Name the one that is meant with --token.`,
    });
  }
  throw new SealgateError({
    code: 'key.token-ambiguous',
    duration: 'permanent',
    publicText: `Several tokens fit${inWords(selector)}: ${there(fitting)}; name the one that is meant with --token (its label, or a pkcs11: URI with its serial number).`,
  });
}

function inWords(selector: TokenSelector): string {
  const named = Object.entries(selector).filter(([, value]) => value !== null);
  return named.length === 0 ? '' : ` (${named.map(([name, value]) => `${name} “${value}”`).join(', ')})`;
}

/** A reader, with or without a token. Its number is good for this process only. */
export class ManagedSlot {
  readonly #module: ManagedModule;
  readonly id: Buffer;

  constructor(module: ManagedModule, id: Buffer) {
    this.#module = module;
    this.id = id;
  }

  get info(): pkcs11.SlotInfo {
    return this.#module.pkcs11.C_GetSlotInfo(this.id);
  }

  get reader(): string {
    return unpadded(this.info.slotDescription);
  }

  /** Read anew each time: its flags change with every PIN that is tried. @throws Pkcs11Error */
  get tokenInfo(): pkcs11.TokenInfo {
    return this.#module.pkcs11.C_GetTokenInfo(this.id);
  }

  /** null: there is no token, or one that the module cannot talk to. */
  get tokenInfoIfAny(): pkcs11.TokenInfo | null {
    try {
      return (this.info.flags & CKF_TOKEN_PRESENT) === 0 ? null : this.tokenInfo;
    } catch (error) {
      if (returnValueOf(error) === null) throw error;
      return null;
    }
  }

  get isInitialised(): boolean {
    const info = this.tokenInfoIfAny;
    return info !== null && (info.flags & pkcs11.CKF_TOKEN_INITIALIZED) !== 0;
  }

  fits({ label, serial, model, manufacturer, reader }: TokenSelector): boolean {
    const info = this.tokenInfoIfAny;
    if (info === null) return false;
    return (
      (label === null || unpadded(info.label) === label) &&
      (serial === null || unpadded(info.serialNumber) === serial) &&
      (model === null || unpadded(info.model) === model) &&
      (manufacturer === null || unpadded(info.manufacturerID) === manufacturer) &&
      (reader === null || this.reader === reader)
    );
  }

  nameForPeople(): string {
    const info = this.tokenInfoIfAny;
    if (info === null) return `the reader ${forPeople(this.reader)}`;
    const serial = unpadded(info.serialNumber);
    const initialised = (info.flags & pkcs11.CKF_TOKEN_INITIALIZED) !== 0;
    const name = initialised ? `“${forPeople(unpadded(info.label))}”` : 'a token that is not initialised';
    return serial === ''
      ? `${name} (reader ${forPeople(this.reader)})`
      : `${name} (serial ${forPeople(serial)})`;
  }
}

/** Texts of slots and tokens are padded with blanks; some modules pad with NUL. */
export function unpadded(text: string): string {
  const end = text.indexOf('\0');
  return (end < 0 ? text : text.slice(0, end)).trim();
}

/** A token's own words in a sentence for people: no control characters, bounded. */
export function forPeople(text: string): string {
  return withoutControls(text.slice(0, 64));
}
