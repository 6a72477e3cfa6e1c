import type { DecryptionKey, SignatureScheme, SigningKey } from '../../../src/cms/keys.ts';
import type { KeyDescription, OpeningAbility } from '../../../src/hsm/inventory.ts';
import type { KeyPlace } from '../../../src/hsm/key-state.ts';
import type { Workbench } from './workbench.ts';

export type KeyUnderTest = {
  /** Asked directly where the gateway's own side would not let a request pass. */
  place: Pick<KeyPlace, 'perform'>;
  description: KeyDescription;
  /** Whether it is in a token: those sign digests too. */
  inToken: boolean;
  /** null: the key does not sign. */
  signing: SigningKey | null;
  decryption: DecryptionKey | null;
  bench: Workbench;
};

/** What the inventory has to say of this key, no more and no less. */
export type Expected = {
  kind: KeyKind;
  signs: readonly SignatureScheme['kind'][];
  opens: readonly OpeningAbility[];
};

export type KeyKind = 'rsa' | 'ec' | 'ed25519' | 'ed448' | 'x25519';
