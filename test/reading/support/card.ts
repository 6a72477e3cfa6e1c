import type { DecryptionKey } from '../../../src/cms/keys.ts';
import { SealgateError } from '../../../src/errors.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';

/** A key on a card that a test puts in and takes out, and that counts how often it is used and asks for its PIN. */
export class Card {
  readonly key: DecryptionKey;
  /** Its PIN is known. */
  isUnlocked = true;
  /** It wants the PIN at each use. */
  asksEachTime = false;
  used = 0;
  /** How often a person was asked for the PIN. */
  prompts = 0;
  #isInserted = true;
  readonly #use: (operation: (key: DecryptionKey) => Promise<Buffer>) => Promise<Buffer>;
  static #count = 0;

  /** @param real what the card does when it is there; absent: nothing */
  constructor(real: DecryptionKey | null = null) {
    const card = this;
    const use = async (operation: (key: DecryptionKey) => Promise<Buffer>): Promise<Buffer> => {
      if (!card.#isInserted || real === null) {
        throw new SealgateError({ code: 'key.unavailable', publicText: 'Insert it.', duration: 'temporary' });
      }
      if (!card.isUnlocked || card.asksEachTime) card.prompts++;
      card.isUnlocked = true;
      card.used++;
      return operation(real);
    };
    this.#use = use;
    const fingerprint = `card ${Card.#count++}`;
    this.key = {
      label: fingerprint,
      certificate: real?.certificate ?? ({ fingerprint } as Certificate),
      get isThere() {
        return card.#isInserted && card.isUnlocked;
      },
      get isOpen() {
        return card.#isInserted && card.isUnlocked && !card.asksEachTime;
      },
      decryptKey: (scheme, encryptedKey) => use((key) => key.decryptKey(scheme, encryptedKey)),
      agree: (originator) => use((key) => key.agree(originator)),
      decapsulate: (ciphertext) => use((key) => key.decapsulate(ciphertext)),
    };
  }

  /** One use. @throws SealgateError `key.unavailable` */
  async touch(): Promise<void> {
    await this.#use(async () => Buffer.alloc(0));
  }

  takeOut(): void {
    this.#isInserted = false;
    this.isUnlocked = false;
  }

  /** @param pin whether it is typed at once */
  insert(pin: 'typed' | 'not-typed' = 'typed'): void {
    this.#isInserted = true;
    this.isUnlocked = pin === 'typed';
  }
}
