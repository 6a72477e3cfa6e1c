import { describe, expect, it } from 'vitest';
import { loginFor } from '../../src/imap-out/archive.ts';

describe('the login for the archive of a sender', () => {
  it.each([
    ['journal', 'alice@example.org', 'journal'],
    ['{login}*gateway', 'alice@example.org', 'alice@example.org*gateway'],
    ['{login}', 'bob', 'bob'],
    ['archive-{login}@example.org', 'bob', 'archive-bob@example.org'],
    ['DOMAIN/gateway/{login}', 'bob', 'DOMAIN/gateway/bob'],
    ['{login}/{login}', 'bob', 'bob/bob'],
  ])('%s of %s', (login, sender, expected) => {
    expect(loginFor({ name: 'sent', login }, sender)).toBe(expected);
  });

  it.each([
    ['{login}*gateway', 'bob*root'],
    ['{login}*gateway', '*'],
    ['DOMAIN/gateway/{login}', 'x/bob'],
    ['archive-{login}@example.org', 'bob@evil.example'],
    ['{login}', 'bob\r\nA1 LOGOUT'],
  ])('%s is no login for %j', (login, sender) => {
    expect(() => loginFor({ name: 'sent', login }, sender)).toThrow(
      expect.objectContaining({ code: 'archive.login', duration: 'permanent' }),
    );
  });
});
