import { expect, it } from 'vitest';
import {
  formFor,
  type ReadingProfile,
  type ReadingSettings,
  usualReading,
} from '../../src/reading/reading-settings.ts';

const FORM = { shell: 'transparent', padding: 'off' } as const;

function settings(profile: Partial<ReadingProfile>): ReadingSettings {
  return {
    ...usualReading,
    profiles: [{ logins: null, clients: null, networks: null, form: FORM, ...profile }],
  };
}

const BY = { login: 'alice', client: 'Thunderbird', address: '10.1.2.3' };

it.each<[string, Partial<ReadingProfile>, boolean]>([
  ['everybody', {}, true],
  ['a login', { logins: ['bob', 'alice'] }, true],
  ['another login', { logins: ['bob'] }, false],
  ['a network', { networks: { has: (address) => address.startsWith('10.1.') } }, true],
  ['another network', { networks: { has: () => false } }, false],
  ['all of it', { logins: ['alice'], clients: ['*bird'], networks: { has: () => true } }, true],
  ['not all of it', { logins: ['alice'], clients: ['mutt'], networks: { has: () => true } }, false],
])('a profile for %s', (_, profile, fits) => {
  expect(formFor(settings(profile), BY)).toEqual(fits ? FORM : usualReading.form);
});

it.each([
  ['thunderbird', true],
  ['Thunder*', true],
  ['*', true],
  ['T*d*b*d', true],
  ['Thunder', false],
  ['*birds', false],
  ['Thunderb*bird', false],
  ['Thunderbird*d', false],
])('the pattern %s', (pattern, fits) => {
  expect(formFor(settings({ clients: [pattern] }), BY)).toEqual(fits ? FORM : usualReading.form);
});

it('a client that has not said its name, or comes from nowhere, fits no profile that asks for one', () => {
  expect(formFor(settings({ clients: ['*'] }), { ...BY, client: null })).toEqual(usualReading.form);
  expect(formFor(settings({ networks: { has: () => true } }), { ...BY, address: null })).toEqual(
    usualReading.form,
  );
});
