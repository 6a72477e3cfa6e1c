import { expect, test } from 'vitest';
import { importsOf, resolveImport, sourceFiles } from './source-files.ts';

/** Keys are handed out for a Principal. Whoever can make one can use anybody's keys, so there are seven places that do. */

const files = sourceFiles('src').filter(({ path }) => path !== 'sasl/principal.ts');
const containing = (text: RegExp) => files.filter((file) => text.test(file.text)).map(({ path }) => path);

test('a login that the upstream has accepted is made a principal in three places', () => {
  expect(containing(/\bPrincipal\s*\.\s*proven\b/).sort()).toEqual([
    'imap-proxy/login.ts',
    'pop3-proxy/login.ts',
    'smtp-in/auth.ts',
  ]);
});

// The gateway's own is the one holder of a keyring of its own, of keys that the configuration lets no login have.
// Who owns an address is asked for mail that comes from other servers: a listener says which ones are believed, and who reads what is delivered.
test('a login that an administrator has named is made one in three more, and the gateway itself in a fourth', () => {
  expect(containing(/\bPrincipal\s*\.\s*named\b/).sort()).toEqual([
    'commands/policy.ts',
    'gateway/address-owners.ts',
    'gateway/queue.ts',
    'smtp-in/assumed-login.ts',
  ]);
});

test('nobody else has more of it than the type, but the keyring, which asks whether it is one', () => {
  const users = files
    .filter((file) =>
      importsOf(file).some(
        ({ specifier, typesOnly }) =>
          !typesOnly &&
          specifier.startsWith('.') &&
          resolveImport(file.path, specifier) === 'sasl/principal.ts',
      ),
    )
    .map(({ path }) => path);
  expect(users.sort()).toEqual([
    'commands/policy.ts',
    'gateway/address-owners.ts',
    'gateway/queue.ts',
    'hsm/keyring.ts',
    'imap-proxy/login.ts',
    'pop3-proxy/login.ts',
    'smtp-in/assumed-login.ts',
    'smtp-in/auth.ts',
  ]);
  const asked = files.find(({ path }) => path === 'hsm/keyring.ts');
  expect([...new Set(asked?.text.match(/\bPrincipal\.\w+/g))]).toEqual(['Principal.is']);
});

test('the compiler is nowhere told that something else is one', () => {
  expect(containing(/\bas (?:unknown as )?Principal\b|<Principal>\s*[({]/)).toEqual([]);
});
