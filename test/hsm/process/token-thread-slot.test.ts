import pkcs11 from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { FailureError } from '../../../src/hsm/failures.ts';
import { operationFailure } from '../../../src/hsm/process/pkcs11-errors.ts';
import { findToken, login } from '../../../src/hsm/process/token-thread-slot.ts';
import type { Failure, Open } from '../../../src/hsm/token-messages.ts';

/** States of a card that cannot be brought about without spoiling one: a module that only says so. */

const SLOT = Buffer.alloc(8);
const SESSION = Buffer.alloc(8, 1);
const TOKEN = { slot: SLOT, label: 'card', serial: '7', loginRequired: true };
const OPEN: Open = {
  kind: 'open',
  module: '/m',
  token: { by: 'label', label: 'card' },
  pin: '1234',
  pinProven: false,
  threads: 1,
  certificates: [],
};

function returnValue(
  name:
    | 'CKR_PIN_INCORRECT'
    | 'CKR_PIN_LOCKED'
    | 'CKR_DEVICE_ERROR'
    | 'CKR_USER_ALREADY_LOGGED_IN'
    | 'CKR_GENERAL_ERROR'
    | 'CKR_SESSION_HANDLE_INVALID'
    | 'CKR_MECHANISM_INVALID'
    | 'CKR_ENCRYPTED_DATA_INVALID',
) {
  return new pkcs11.Pkcs11Error(name, pkcs11[name], 'C_Test');
}

/** A module whose token has these flags and answers C_Login so. */
function card(flags: number, answer: Error | null = null, flagsAfter = flags) {
  const state = { logins: [] as string[] };
  const module = {
    C_GetSlotList: () => [SLOT],
    C_GetTokenInfo: () => ({
      label: `card${' '.repeat(28)}`,
      serialNumber: '7\0\0\0',
      flags: state.logins.length === 0 ? flags : flagsAfter,
    }),
    C_Login(_session: Buffer, _user: number, pin: string) {
      state.logins.push(pin);
      if (answer !== null) throw answer;
    },
  };
  return { module: module as unknown as pkcs11.PKCS11, state };
}

function failureOf(step: () => unknown): Failure {
  try {
    step();
  } catch (error) {
    if (error instanceof FailureError) return error.failure;
    throw error;
  }
  throw new Error('it did not fail');
}

const NOTHING = () => undefined;

describe('logging in', () => {
  test('sends the PIN once, and tells before', () => {
    const { module, state } = card(pkcs11.CKF_LOGIN_REQUIRED);
    let told = 0;
    login(module, SESSION, TOKEN, OPEN, () => {
      expect(state.logins).toEqual([]);
      told++;
    });
    expect([told, state.logins]).toEqual([1, ['1234']]);
  });

  test('no PIN where none is wanted', () => {
    const { module, state } = card(0);
    login(module, SESSION, { ...TOKEN, loginRequired: false }, OPEN, NOTHING);
    expect(state.logins).toEqual([]);
  });

  test('one try left: the PIN is not sent, unless this token has accepted it before', () => {
    const { module, state } = card(pkcs11.CKF_USER_PIN_FINAL_TRY);
    const failure = failureOf(() => login(module, SESSION, TOKEN, OPEN, NOTHING));
    expect([failure.code, failure.duration]).toEqual(['key.pin-last-try', 'permanent']);
    expect(failure.publicText).toContain('“card” has one PIN try left');
    expect(state.logins).toEqual([]);
    login(module, SESSION, TOKEN, { ...OPEN, pinProven: true }, NOTHING);
    expect(state.logins).toEqual(['1234']);
  });

  test('locked: the PIN is not sent', () => {
    const { module, state } = card(pkcs11.CKF_USER_PIN_LOCKED);
    expect(failureOf(() => login(module, SESSION, TOKEN, { ...OPEN, pinProven: true }, NOTHING)).code).toBe(
      'key.pin-locked',
    );
    expect(state.logins).toEqual([]);
  });

  test.each([
    [pkcs11.CKF_USER_PIN_COUNT_LOW, 'few tries are left'],
    [pkcs11.CKF_USER_PIN_FINAL_TRY, 'one try is left'],
    [pkcs11.CKF_USER_PIN_LOCKED, 'it is locked now'],
  ])('a wrong PIN: what the token tells about the tries is passed on (flags %i)', (flagsAfter, words) => {
    const { module, state } = card(0, returnValue('CKR_PIN_INCORRECT'), flagsAfter);
    const failure = failureOf(() => login(module, SESSION, TOKEN, OPEN, NOTHING));
    expect([failure.code, failure.duration]).toEqual(['key.pin-incorrect', 'permanent']);
    expect(failure.publicText).toContain(words);
    expect(JSON.stringify(failure)).not.toContain('1234');
    expect(state.logins).toHaveLength(1);
  });

  test('a reader that fails says nothing about the PIN', () => {
    const { module } = card(0, returnValue('CKR_DEVICE_ERROR'));
    expect(failureOf(() => login(module, SESSION, TOKEN, OPEN, NOTHING))).toMatchObject({
      code: 'key.unavailable',
      duration: 'temporary',
    });
  });

  test('logged in already', () => {
    const { module } = card(0, returnValue('CKR_USER_ALREADY_LOGGED_IN'));
    expect(() => login(module, SESSION, TOKEN, OPEN, NOTHING)).not.toThrow();
  });
});

test('labels padded with blanks and serial numbers padded with NUL are read alike', () => {
  const { module } = card(pkcs11.CKF_TOKEN_INITIALIZED);
  expect(findToken(module, { by: 'label', label: 'card' })).toMatchObject({ label: 'card', serial: '7' });
  expect(findToken(module, { by: 'serial', serial: '7' })).toMatchObject({ label: 'card' });
  expect(failureOf(() => findToken(module, { by: 'label', label: 'card ' })).code).toBe('key.token-absent');
});

describe('a failed operation', () => {
  test.each([
    ['CKR_ENCRYPTED_DATA_INVALID', true, true, 'key.decrypt-failed', false],
    // SoftHSM's answer to bad padding: nobody may end the session of all users by sending nonsense.
    ['CKR_GENERAL_ERROR', true, true, 'key.decrypt-failed', false],
    ['CKR_GENERAL_ERROR', false, true, 'key.unavailable', false],
    ['CKR_DEVICE_ERROR', true, true, 'key.unavailable', false],
    ['CKR_DEVICE_ERROR', true, false, 'key.unavailable', true],
    ['CKR_SESSION_HANDLE_INVALID', false, false, 'key.unavailable', true],
    ['CKR_MECHANISM_INVALID', true, true, 'key.refused', false],
    ['CKR_MECHANISM_INVALID', false, true, 'key.refused', false],
  ] as const)(
    '%s (of a stranger’s input: %s, session alive: %s) is %s',
    (name, attackable, alive, code, lost) => {
      const failure = operationFailure(returnValue(name), attackable, () => alive);
      expect([failure.code, failure.sessionLost, failure.reason]).toEqual([code, lost, name]);
    },
  );

  test('a defect of our own is not blamed on the mail', () => {
    const failure = operationFailure(new TypeError('defect'), true, () => true);
    expect([failure.code, failure.duration]).toEqual(['key.unavailable', 'temporary']);
  });
});
