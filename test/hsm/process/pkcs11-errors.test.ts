import pkcs11 from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { failureOfUse, returnValueOf } from '../../../src/hsm/process/pkcs11-errors.ts';

/** What modules answer, sorted by what it means for a mail. */

type Outcome = [code: string, duration: string, sessionLost: boolean];

function outcome(
  error: unknown,
  use: { attackable?: boolean; judging?: boolean; alive?: boolean } = {},
): Outcome {
  const { attackable = false, judging = false, alive = true } = use;
  const failure = failureOfUse(error, { attackable, judging, sessionAlive: () => alive });
  return [failure.code, failure.duration, failure.sessionLost];
}

function answer(name: string): unknown {
  const code = (pkcs11 as unknown as Record<string, number>)[name];
  if (code === undefined) throw new Error(`no ${name}`);
  return new pkcs11.Pkcs11Error(`${name}:${code}`, code);
}

const EVERY = Object.keys(pkcs11).filter((name) => name.startsWith('CKR_') && name !== 'CKR_OK');

describe('the token is away', () => {
  test.each([
    'CKR_DEVICE_REMOVED',
    'CKR_TOKEN_NOT_PRESENT',
    'CKR_SESSION_CLOSED',
    'CKR_SESSION_HANDLE_INVALID',
    'CKR_CRYPTOKI_NOT_INITIALIZED',
    'CKR_KEY_HANDLE_INVALID',
    'CKR_OBJECT_HANDLE_INVALID',
  ])('%s: a new opening is needed, whatever the session says of itself', (name) => {
    for (const attackable of [false, true]) {
      expect(outcome(answer(name), { attackable, judging: attackable })).toEqual([
        'key.unavailable',
        'temporary',
        true,
      ]);
    }
  });

  test.each(['CKR_DEVICE_ERROR', 'CKR_GENERAL_ERROR', 'CKR_FUNCTION_FAILED', 'CKR_USER_NOT_LOGGED_IN'])(
    '%s: the session is asked',
    (name) => {
      expect(outcome(answer(name))).toEqual(['key.unavailable', 'temporary', false]);
      expect(outcome(answer(name), { alive: false })).toEqual(['key.unavailable', 'temporary', true]);
    },
  );

  test('a vendor’s own number, and what is no answer of a module', () => {
    const vendor = new pkcs11.Pkcs11Error('CKR_VENDOR_DEFINED:2147483649', 0x8000_0001);
    expect(outcome(vendor)).toEqual(['key.unavailable', 'temporary', false]);
    expect(outcome(new TypeError('a buffer was expected'))).toEqual(['key.unavailable', 'temporary', false]);
  });
});

describe('a person at the token', () => {
  test.each([
    ['CKR_PIN_INCORRECT', 'key.pin-incorrect', 'permanent'],
    ['CKR_PIN_EXPIRED', 'key.pin-incorrect', 'permanent'],
    ['CKR_PIN_LOCKED', 'key.pin-locked', 'permanent'],
    ['CKR_FUNCTION_REJECTED', 'key.unavailable', 'temporary'],
    ['CKR_FUNCTION_CANCELED', 'key.unavailable', 'temporary'],
  ])('%s is %s, and no fault of a mail', (name, code, duration) => {
    expect(outcome(answer(name))).toEqual([code, duration, false]);
    expect(outcome(answer(name), { attackable: true, judging: true })).toEqual([code, duration, false]);
  });
});

describe('a stranger’s octets', () => {
  test.each([
    'CKR_ENCRYPTED_DATA_INVALID',
    'CKR_ENCRYPTED_DATA_LEN_RANGE',
    'CKR_DATA_INVALID',
    'CKR_WRAPPED_KEY_INVALID',
    'CKR_DEVICE_ERROR',
    'CKR_GENERAL_ERROR',
    'CKR_FUNCTION_FAILED',
    'CKR_ARGUMENTS_BAD',
    'CKR_BUFFER_TOO_SMALL',
    'CKR_MECHANISM_PARAM_INVALID',
  ])('%s while a padding is taken off is the one failure there is', (name) => {
    const use = { attackable: true, judging: true };
    expect(outcome(answer(name), use)).toEqual(['key.decrypt-failed', 'permanent', false]);
    expect(outcome(answer(name), { ...use, alive: false })[2]).toBe(!BAD_INPUT.has(name));
  });

  test('no answer at all makes a key look refused', () => {
    for (const name of EVERY) {
      const [code] = outcome(answer(name), { attackable: true, judging: true });
      expect([name, code]).not.toEqual([name, 'key.refused']);
    }
  });
});

/** Of these nobody needs to ask whether the session still stands. */
const BAD_INPUT = new Set([
  'CKR_ENCRYPTED_DATA_INVALID',
  'CKR_ENCRYPTED_DATA_LEN_RANGE',
  'CKR_DATA_INVALID',
  'CKR_WRAPPED_KEY_INVALID',
]);

test.each(['CKR_MECHANISM_INVALID', 'CKR_KEY_FUNCTION_NOT_PERMITTED', 'CKR_KEY_SIZE_RANGE'])(
  '%s ahead of the octets: the key does not do this',
  (name) => {
    for (const attackable of [false, true]) {
      expect(outcome(answer(name), { attackable })).toEqual(['key.refused', 'permanent', false]);
    }
  },
);

test('every answer there is has a meaning, and a sentence for people without the module’s words', () => {
  expect(EVERY.length).toBeGreaterThan(80);
  for (const name of EVERY) {
    const failure = failureOfUse(answer(name), {
      attackable: false,
      judging: false,
      sessionAlive: () => true,
    });
    expect(failure.reason).toBe(name);
    expect(failure.publicText).not.toContain('CKR');
    expect(failure.publicText).toMatch(/\.$/);
  }
});

test('an answer of the module is one also where the binding leaves it as it came', () => {
  expect(returnValueOf(new Error('CKR_ATTRIBUTE_VALUE_INVALID:19\n    at PKCS11.C_CreateObject'))).toEqual({
    code: pkcs11.CKR_ATTRIBUTE_VALUE_INVALID,
    name: 'CKR_ATTRIBUTE_VALUE_INVALID',
  });
  expect(returnValueOf(new TypeError('not CKR_OK:0 at the beginning'))).toBeNull();
});
