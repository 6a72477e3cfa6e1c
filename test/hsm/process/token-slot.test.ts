import pkcs11 from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { FailureError } from '../../../src/hsm/failures.ts';
import type { Failure } from '../../../src/hsm/messages.ts';
import { type FoundToken, findToken, login } from '../../../src/hsm/process/token-slot.ts';
import type { TokenSelector } from '../../../src/hsm/source-kinds.ts';

/** States of a card that cannot be brought about without spoiling one: a module that only says so. */

const SLOT = Buffer.alloc(8);
const SESSION = Buffer.alloc(8, 1);
const TOKEN: FoundToken = {
  slot: SLOT,
  description: { label: 'card', serial: '7', model: '', manufacturer: '', reader: '', pin: 'fine' },
  loginRequired: true,
  pinPad: false,
};
const ANY: TokenSelector = { label: null, serial: null, model: null, manufacturer: null, reader: null };

type Name =
  | 'CKR_PIN_INCORRECT'
  | 'CKR_PIN_LOCKED'
  | 'CKR_DEVICE_ERROR'
  | 'CKR_DEVICE_REMOVED'
  | 'CKR_SESSION_HANDLE_INVALID'
  | 'CKR_FUNCTION_FAILED'
  | 'CKR_GENERAL_ERROR'
  | 'CKR_USER_ALREADY_LOGGED_IN';

function returnValue(name: Name) {
  return new pkcs11.Pkcs11Error(name, pkcs11[name], 'C_Test');
}

/** A module whose token has these flags and answers C_Login so. */
function card(flags: number, answer: Error | null = null, flagsAfter = flags) {
  const logins: (string | undefined)[] = [];
  const module = {
    C_GetSlotList: () => [SLOT],
    C_GetSlotInfo: () => ({ slotDescription: `reader 1${' '.repeat(20)}` }),
    C_GetTokenInfo: () => ({
      label: `card${' '.repeat(28)}`,
      serialNumber: '7\0\0\0',
      model: 'm',
      manufacturerID: 'f',
      flags: logins.length === 0 ? flags : flagsAfter,
    }),
    C_Login(_session: Buffer, _user: number, pin?: string) {
      logins.push(pin);
      if (answer !== null) throw answer;
    },
  };
  return { module: module as unknown as pkcs11.PKCS11, logins };
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

describe('logging in', () => {
  test('sends the PIN once; with a reader’s own keys, none', () => {
    const { module, logins } = card(pkcs11.CKF_LOGIN_REQUIRED);
    login(module, SESSION, TOKEN, '1234', false);
    login(module, SESSION, TOKEN, null, false);
    expect(logins).toEqual(['1234', undefined]);
  });

  test('one try left: the PIN is not sent, unless this token has accepted it or a person typed it', () => {
    const { module, logins } = card(pkcs11.CKF_USER_PIN_FINAL_TRY);
    const failure = failureOf(() => login(module, SESSION, TOKEN, '1234', false));
    expect([failure.code, failure.duration]).toEqual(['key.pin-last-try', 'permanent']);
    expect(failure.publicText).toContain('“card” has one PIN try left');
    expect(logins).toEqual([]);
    login(module, SESSION, TOKEN, '1234', true);
    expect(logins).toEqual(['1234']);
  });

  test('locked: the PIN is not sent', () => {
    const { module, logins } = card(pkcs11.CKF_USER_PIN_LOCKED);
    expect(failureOf(() => login(module, SESSION, TOKEN, '1234', true)).code).toBe('key.pin-locked');
    expect(logins).toEqual([]);
  });

  test.each([
    [0, 'does not say how many tries are left'],
    [pkcs11.CKF_USER_PIN_COUNT_LOW, 'few tries are left'],
    [pkcs11.CKF_USER_PIN_FINAL_TRY, 'one try is left'],
    [pkcs11.CKF_USER_PIN_LOCKED, 'it is blocked now. Unblock it with “sealgate card pin unblock”'],
  ])('a wrong PIN: what the token tells about the tries is passed on (flags %i)', (flagsAfter, words) => {
    const { module, logins } = card(0, returnValue('CKR_PIN_INCORRECT'), flagsAfter);
    const failure = failureOf(() => login(module, SESSION, TOKEN, '1234', false));
    expect([failure.code, failure.duration]).toEqual(['key.pin-incorrect', 'permanent']);
    expect(failure.publicText).toContain(words);
    expect(JSON.stringify(failure)).not.toContain('1234');
    expect(logins).toHaveLength(1);
  });

  test.each(['CKR_DEVICE_ERROR', 'CKR_DEVICE_REMOVED', 'CKR_SESSION_HANDLE_INVALID'] as const)(
    '%s says nothing about the PIN',
    (name) => {
      const { module } = card(0, returnValue(name));
      expect(failureOf(() => login(module, SESSION, TOKEN, '1234', false))).toMatchObject({
        code: 'key.unavailable',
        duration: 'temporary',
      });
    },
  );

  test.each(['CKR_FUNCTION_FAILED', 'CKR_GENERAL_ERROR'] as const)(
    '%s may mean a wrong PIN: it does not pass by itself',
    (name) => {
      const { module } = card(0, returnValue(name));
      const failure = failureOf(() => login(module, SESSION, TOKEN, '1234', false));
      expect([failure.code, failure.duration]).toEqual(['key.unavailable', 'permanent']);
      expect(failure.publicText).toContain('not sent again by itself');
    },
  );

  test('an answer that says nothing, and a try less than before: the PIN was judged', () => {
    const { module } = card(0, returnValue('CKR_DEVICE_ERROR'), pkcs11.CKF_USER_PIN_COUNT_LOW);
    expect(failureOf(() => login(module, SESSION, TOKEN, '1234', false)).code).toBe('key.pin-incorrect');
  });

  test('logged in already', () => {
    const { module } = card(0, returnValue('CKR_USER_ALREADY_LOGGED_IN'));
    expect(() => login(module, SESSION, TOKEN, '1234', false)).not.toThrow();
  });
});

describe('finding the token', () => {
  const { module } = card(pkcs11.CKF_TOKEN_INITIALIZED);

  test('padding with blanks and with NUL is none of its words', () => {
    expect(findToken(module, ANY).description).toMatchObject({
      label: 'card',
      serial: '7',
      reader: 'reader 1',
    });
  });

  test('every member of the selector has to fit, exactly', () => {
    const fitting: Partial<TokenSelector>[] = [
      { label: 'card' },
      { serial: '7', reader: 'reader 1' },
      { model: 'm', manufacturer: 'f' },
    ];
    for (const selector of fitting) {
      expect(findToken(module, { ...ANY, ...selector }).slot).toBe(SLOT);
    }
    const others: Partial<TokenSelector>[] = [
      { label: 'card ' },
      { label: 'Card' },
      { label: 'card', serial: '8' },
      { reader: 'reader' },
      { model: '' },
    ];
    for (const selector of others) {
      expect(failureOf(() => findToken(module, { ...ANY, ...selector })).code).toBe('key.token-absent');
    }
  });

  test('a token nobody has initialised is none', () => {
    expect(failureOf(() => findToken(card(0).module, ANY)).publicText).toContain('no token is');
  });

  test('a card’s own words in a sentence are cut and without control characters', () => {
    const hostile = {
      C_GetSlotList: () => [SLOT],
      C_GetSlotInfo: () => ({ slotDescription: 'r' }),
      C_GetTokenInfo: () => ({
        label: `\r\n250 OK\u202e${'x'.repeat(500)}`,
        serialNumber: '\u001b[2J',
        model: '',
        manufacturerID: '',
        flags: pkcs11.CKF_TOKEN_INITIALIZED,
      }),
    } as unknown as pkcs11.PKCS11;
    const { publicText } = failureOf(() => findToken(hostile, { ...ANY, label: 'mine' }));
    expect(publicText).not.toMatch(/[\p{C}]/u);
    expect(publicText.length).toBeLessThan(300);
  });
});
