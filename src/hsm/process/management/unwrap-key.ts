import { randomBytes } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import type { ManagedModule } from './managed-module.ts';
import type { ImportedKey } from './private-key-template.ts';

const AES_KEY_OCTETS = 32;
const BLOCK = 16;

/**
 * For tokens that take no private key in the clear: an AES key of this session is made on the token, encrypts the PKCS#8 form
 * there, and unwraps it again (C_UnwrapKey).
 *
 * @throws Pkcs11Error where the token does not do that either
 */
export function unwrapKey(
  module: ManagedModule,
  session: Buffer,
  { privateKey }: ImportedKey,
  template: pkcs11.Template,
): void {
  const key = module.pkcs11.C_GenerateKey(session, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
    { type: pkcs11.CKA_VALUE_LEN, value: AES_KEY_OCTETS },
    { type: pkcs11.CKA_ENCRYPT, value: true },
    { type: pkcs11.CKA_UNWRAP, value: true },
  ]);
  const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
  try {
    const iv = randomBytes(BLOCK);
    const mechanism = { mechanism: pkcs11.CKM_AES_CBC_PAD, parameter: iv };
    module.pkcs11.C_EncryptInit(session, mechanism, key);
    const wrapped = module.pkcs11.C_Encrypt(session, plain, Buffer.alloc(plain.length + BLOCK));
    module.pkcs11.C_UnwrapKey(session, mechanism, key, wrapped, template);
  } finally {
    plain.fill(0);
    module.pkcs11.C_DestroyObject(session, key);
  }
}
