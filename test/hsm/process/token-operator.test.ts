import {
  constants,
  createHash,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { FailureError } from '../../../src/hsm/failures.ts';
import type { Failure } from '../../../src/hsm/messages.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import type { KeyHandle } from '../../../src/hsm/process/key-handle.ts';
import { TokenOperator } from '../../../src/hsm/process/token-operator.ts';

/** Modules that fail in the middle, hash themselves or are being pulled out: a stand-in that does what it is told. */

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const SCHEME = { kind: 'rsa-pkcs1', digest: 'sha256' } as const;
const signing: Operation = {
  kind: 'sign',
  key: 'k',
  scheme: SCHEME,
  input: 'message',
  data: Buffer.from('hello'),
};
const contentKey = randomBytes(16);
const encryptedKey = publicEncrypt({ key: rsa.publicKey, padding: constants.RSA_PKCS1_PADDING }, contentKey);
const decrypting: Operation = { kind: 'decrypt', key: 'k', scheme: { kind: 'rsa-pkcs1' }, encryptedKey };

function answer(name: string): Error {
  const code = (pkcs11 as unknown as Record<string, number>)[name] ?? 0;
  return new pkcs11.Pkcs11Error(`${name}:${code}`, code);
}

/** Sessions are numbered; what was called is written down. */
class Module {
  readonly calls: string[] = [];
  #session = 1;
  #mechanism = 0;

  C_GetSessionInfo(session: Buffer) {
    this.calls.push(`info ${session[0]}`);
    return { slotID: Buffer.from([7]), state: 1, flags: pkcs11.CKF_SERIAL_SESSION };
  }

  C_OpenSession(): Buffer {
    this.#session++;
    this.calls.push(`open ${this.#session}`);
    return Buffer.from([this.#session]);
  }

  C_CloseSession(session: Buffer): void {
    this.calls.push(`close ${session[0]}`);
  }

  C_SignInit(session: Buffer, { mechanism }: { mechanism: number }): void {
    this.calls.push(`sign-init ${session[0]}`);
    this.#mechanism = mechanism;
  }

  /** Says back what it was given. */
  C_Sign(_session: Buffer, input: Buffer): Buffer {
    return Buffer.concat([Buffer.from([this.#mechanism]), input]);
  }

  C_DecryptInit(session: Buffer, { mechanism }: { mechanism: number }): void {
    this.calls.push(`decrypt-init ${session[0]}`);
    this.#mechanism = mechanism;
  }

  C_Decrypt(_session: Buffer, input: Buffer): Buffer {
    const padding =
      this.#mechanism === pkcs11.CKM_RSA_X_509 ? constants.RSA_NO_PADDING : constants.RSA_PKCS1_PADDING;
    const result = privateDecrypt({ key: rsa.privateKey, padding }, input);
    // Some modules drop leading zeros.
    return result[0] === 0 ? result.subarray(1) : result;
  }
}

function operator(
  module: Module,
  changes: Partial<KeyHandle> = {},
  removable = false,
  authenticate: () => void = () => undefined,
): TokenOperator {
  const handle: KeyHandle = {
    object: Buffer.from([9]),
    publicKey: rsa.publicKey.export({ type: 'spki', format: 'der' }),
    octets: 256,
    alwaysAuthenticate: false,
    signing: [{ scheme: SCHEME, mechanism: pkcs11.CKM_RSA_PKCS, input: 'digest-info' }],
    pkcs1: ['bare'],
    oaep: ['bare'],
    agreement: null,
    ...changes,
  };
  return new TokenOperator({
    module: module as unknown as pkcs11.PKCS11,
    session: Buffer.from([1]),
    handles: new Map([['k', handle]]),
    removable,
    authenticate,
  });
}

function failureOf(action: () => unknown): Failure {
  try {
    action();
  } catch (error) {
    if (error instanceof FailureError) return error.failure;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('signing', () => {
  test('an operation left over in the session: a new session, opened before the old one is closed', () => {
    const module = new Module();
    const init = module.C_SignInit.bind(module);
    module.C_SignInit = (session, mechanism) => {
      if (session[0] === 1) throw answer('CKR_OPERATION_ACTIVE');
      init(session, mechanism);
    };
    expect(operator(module).perform(signing)[0]).toBe(pkcs11.CKM_RSA_PKCS);
    expect(module.calls.filter((call) => /open|close/.test(call))).toEqual(['open 2', 'close 1']);
  });

  test('a mechanism that is not taken for this key after all: the next one is', () => {
    const module = new Module();
    const init = module.C_SignInit.bind(module);
    module.C_SignInit = (session, mechanism) => {
      if (mechanism.mechanism === pkcs11.CKM_RSA_PKCS) throw answer('CKR_MECHANISM_INVALID');
      init(session, mechanism);
    };
    const ways: KeyHandle['signing'] = [
      { scheme: SCHEME, mechanism: pkcs11.CKM_RSA_PKCS, input: 'digest-info' },
      { scheme: SCHEME, mechanism: pkcs11.CKM_SHA256_RSA_PKCS, input: 'message' },
    ];
    const signature = operator(module, { signing: ways }).perform(signing);
    expect(signature).toEqual(Buffer.concat([Buffer.from([pkcs11.CKM_SHA256_RSA_PKCS]), signing.data]));
    expect(failureOf(() => operator(module).perform(signing)).code).toBe('key.refused');
  });

  test('a token that hashes itself is given the message and cannot be given a digest', () => {
    const module = new Module();
    const ways: KeyHandle['signing'] = [
      { scheme: SCHEME, mechanism: pkcs11.CKM_SHA256_RSA_PKCS, input: 'message' },
    ];
    const on = operator(module, { signing: ways });
    expect(on.perform(signing).subarray(1)).toEqual(signing.data);
    const digest = createHash('sha256').update('hello').digest();
    expect(failureOf(() => on.perform({ ...signing, input: 'digest', data: digest })).code).toBe(
      'key.refused',
    );
  });

  test('CKA_ALWAYS_AUTHENTICATE: the PIN goes between start and end of each use, and a refusal of it is told as it is', () => {
    const module = new Module();
    const authenticate = () => module.calls.push('pin');
    const on = operator(module, { alwaysAuthenticate: true }, false, authenticate);
    on.perform(signing);
    on.perform(signing);
    expect(module.calls.filter((call) => !call.startsWith('info'))).toEqual([
      ...['sign-init 1', 'pin', 'sign-init 1', 'pin'],
    ]);
    const refused: Failure = {
      ...{ code: 'key.pin-incorrect', publicText: 'No.', duration: 'permanent' },
      ...{ reason: 'CKR_PIN_INCORRECT', sessionLost: true },
    };
    const failing = operator(module, { alwaysAuthenticate: true }, false, () => {
      throw new FailureError(refused);
    });
    expect(failureOf(() => failing.perform(signing))).toEqual(refused);
  });
});

describe('opening', () => {
  test('a module that drops leading zeros', () => {
    expect(operator(new Module()).perform(decrypting)).toEqual(contentKey);
  });

  test('numbers that are none of the key’s never reach the token', () => {
    const module = new Module();
    const on = operator(module, { pkcs1: ['padded'], oaep: ['padded'] });
    const modulus = Buffer.from(rsa.publicKey.export({ format: 'jwk' }).n ?? '', 'base64url');
    const one = Buffer.alloc(256);
    one[255] = 1;
    for (const octets of [modulus, Buffer.alloc(256, 0xff), Buffer.alloc(256), one, Buffer.alloc(255, 1)]) {
      const failure = failureOf(() => on.perform({ ...decrypting, encryptedKey: octets }));
      expect([failure.code, failure.sessionLost]).toEqual(['key.decrypt-failed', false]);
    }
    expect(module.calls.filter((call) => call.startsWith('decrypt'))).toEqual([]);
  });

  test.each(['CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_DEVICE_ERROR'])(
    'a card’s own padding error (%s) ends no key process, and the card is not asked any more',
    (name) => {
      const module = new Module();
      module.C_Decrypt = () => {
        throw answer(name);
      };
      const on = operator(module, { pkcs1: ['padded'] }, true);
      module.calls.length = 0;
      const failure = failureOf(() => on.perform(decrypting));
      expect([failure.code, failure.sessionLost]).toEqual(['key.decrypt-failed', false]);
      expect(module.calls).toEqual(['decrypt-init 1']);
    },
  );

  test('a card that fails at the bare operation is leaving', () => {
    const module = new Module();
    module.C_Decrypt = () => {
      throw answer('CKR_GENERAL_ERROR');
    };
    const failure = failureOf(() => operator(module, {}, true).perform(decrypting));
    expect([failure.code, failure.duration, failure.sessionLost]).toEqual([
      'key.unavailable',
      'temporary',
      true,
    ]);
  });

  test('a key that opens nothing is refused ahead of everything else', () => {
    const module = new Module();
    const on = operator(module, { pkcs1: [], oaep: [] });
    expect(failureOf(() => on.perform(decrypting)).code).toBe('key.refused');
    expect(failureOf(() => on.perform({ ...decrypting, encryptedKey: Buffer.alloc(3) })).code).toBe(
      'key.refused',
    );
  });
});
