import pkcs11 from 'pkcs11js';
import { returnValueOf } from './pkcs11-errors.ts';
import { slotsWithTokens } from './token-slot.ts';

/**
 * Whether other tokens may be there than before, without a word to any of them: with a card that is just being pulled out such a
 * word may never come back (OpenSC before 0.24), and a wrong card is pulled out sooner or later.
 */
export class SlotChanges {
  readonly #module: pkcs11.PKCS11;
  #present = '';

  constructor(module: pkcs11.PKCS11) {
    this.#module = module;
  }

  /**
   * What has happened since the call before; of the first call, everything.
   *
   * @returns `present`: how many slots have a token in them. `change`: `unknown` where the module does not tell of events, so that a
   *   token that was taken out and another one that was put in look alike
   * @throws FailureError `key.unavailable`
   */
  since(): { present: number; change: 'yes' | 'no' | 'unknown' } {
    const events = this.#events();
    const present = slotsWithTokens(this.#module).map((slot) => slot.toString('hex'));
    const before = this.#present;
    this.#present = present.join();
    const change =
      events === 'some' || before !== this.#present ? 'yes' : events === 'none' ? 'no' : 'unknown';
    return { present: present.length, change };
  }

  #events(): 'some' | 'none' | 'not-told' {
    let found: 'some' | 'none' = 'none';
    try {
      for (let i = 0; i < MOST_EVENTS; i++) {
        if (this.#module.C_WaitForSlotEvent(pkcs11.CKF_DONT_BLOCK) === null) return found;
        found = 'some';
      }
      return found;
    } catch (error) {
      if (returnValueOf(error) === null) throw error;
      return 'not-told';
    }
  }
}

/** One for each slot; a module with more tells the rest at the next call. */
const MOST_EVENTS = 64;
