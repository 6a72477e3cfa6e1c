import { describe, expect, test } from 'vitest';
import { noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { TAG } from '../../src/mail/subject-tags.ts';
import { ALWAYS } from '../policy/always.ts';

/** The rule begins in line 11; `when` is its line 12. */
function load(rule: string, groups = '[ { name: board, logins: [ alice ] } ]') {
  const text = `hostname: gw.example.org
submission:
  - name: submission
    host: 127.0.0.1
    port: 2587
    tls: none
    upstream: { host: 127.0.0.1, port: 25, tls: none }
policy:
  groups: ${groups}
  rules:
    - { name: it, sign: require, encrypt: if-possible,
${rule} }
`;
  return parseConfig('g.yaml', text, noFiles);
}

function problems(rule: string, groups?: string): string[] {
  const loaded = load(rule, groups);
  const all = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return all.map(formatProblem).filter((line) => line.includes(': error: '));
}

function conditionOf(when: string) {
  const loaded = load(`        when: ${when}`);
  if (loaded.kind === 'invalid') throw new Error(loaded.problems.map(formatProblem).join('\n'));
  return loaded.config.policy.rules[0]?.when;
}

describe('conditions as they are written', () => {
  test.each<[string, object]>([
    ['{}', {}],
    ['{ recipient: [ sales-*@Example.org ] }', { recipient: ['sales-*@Example.org'] }],
    ['{ recipientGroup: [ board ] }', { recipientGroup: ['board'] }],
    ['{ listener: [ submission ] }', { listener: ['submission'] }],
    [
      '{ header: [ { name: X-Class, present: true } ] }',
      { header: [{ name: 'x-class', test: { kind: 'present' } }] },
    ],
    [
      '{ header: [ { name: X-Class, equals: [ a, b ] } ] }',
      { header: [{ name: 'x-class', test: { kind: 'equals', values: ['a', 'b'] } }] },
    ],
    ['{ subjectTag: [ Encrypt ] }', { subjectTag: ['encrypt'] }],
    ['{ size: { atLeast: 10 MiB } }', { size: { atLeast: 10 * 1024 * 1024, below: null } }],
    ['{ attachmentType: [ Application/*, image/png ] }', { attachmentType: ['application/*', 'image/png'] }],
    ['{ attachmentExtension: [ DOCM ] }', { attachmentExtension: ['docm'] }],
    ['{ protection: [ none, signed ] }', { protection: ['none', 'signed'] }],
    ['{ certificateKnown: directory }', { certificateKnown: 'directory' }],
  ])('%s', (written, condition) => {
    expect(conditionOf(written)).toEqual({ ...ALWAYS, ...condition });
  });

  test('exceptions and alternatives', () => {
    const { not: _, anyOf: __, ...nothing } = ALWAYS;
    expect(
      conditionOf('{ not: { login: [ alice ] }, anyOf: [ { login: [ bob ] }, { subjectTag: [ x ] } ] }'),
    ).toEqual({
      ...ALWAYS,
      not: { ...nothing, login: ['alice'] },
      anyOf: [
        { ...nothing, login: ['bob'] },
        { ...nothing, subjectTag: ['x'] },
      ],
    });
  });

  test.each<[string, string, RegExp]>([
    ['two stars', '{ recipient: [ "*a*@b.example" ] }', /^g\.yaml:12:30: error: .*one \* before the @/],
    ['a star in the domain', '{ recipient: [ "a@*.example" ] }', /:12:30: error: .*before the @/],
    ['an unknown group', '{ loginGroup: [ bord ] }', /:12:31: error: .*there is no group/],
    ['one in an exception', '{ not: { senderGroup: [ x ] } }', /:12:39: error: .*there is no group/],
    ['one in an alternative', '{ anyOf: [ { senderGroup: [ x ] } ] }', /:12:43: error: .*there is no group/],
    ['an unknown listener', '{ listener: [ imap ] }', /:12:29: error: .*no submission listener/],
    ['a tag with brackets', '{ subjectTag: [ "[x]" ] }', /:12:31: error: .*without its brackets/],
    [
      'two tests',
      '{ header: [ { name: X, present: true, equals: [ a ] } ] }',
      /:12:27: error: .*exactly one/,
    ],
    ['no test', '{ header: [ { name: X } ] }', /:12:27: error: .*exactly one/],
    [
      'a name with a colon',
      '{ header: [ { name: "X:", present: true } ] }',
      /:12:35: error: .*without the colon/,
    ],
    ['no bound', '{ size: {} }', /:12:23: error: .*atLeast or below/],
    ['no mail at all', '{ size: { atLeast: 2 MiB, below: 1 MiB } }', /:12:23: error: .*no mail has/],
    ['no media type', '{ attachmentType: [ "*/*" ] }', /:12:35: error: .*media type/],
    ['a dot', '{ attachmentExtension: [ .exe ] }', /:12:40: error: .*without the dot/],
    ['an exception from nothing', '{ not: {} }', /:12:22: error: .*nothing is said/],
    ['an alternative of everything', '{ anyOf: [ {} ] }', /:12:26: error: .*always holds/],
    ['an exception in an exception', '{ not: { not: { login: [ a ] } } }', /:12:24: error: .*not/],
    ['an unknown word', '{ certificateKnown: maybe }', /:12:35: error: .*harvested/],
    ['a misspelt condition', '{ recipents: [ a@b.example ] }', /:12:17: error: .*recipient/],
  ])('%s is told with line and column', (_, written, problem) => {
    const told = problems(`        when: ${written}`);
    expect(told).toContainEqual(expect.stringMatching(problem));
    for (const line of told) expect(line).toMatch(/^g\.yaml:12:/);
  });

  test('empty groups and names said twice are told', () => {
    expect(problems('        when: {}', '[ { name: a } ]')).toEqual([
      expect.stringMatching(/:9:13: error: .*empty/),
    ]);
    expect(
      problems('        when: {}', '[ { name: a, logins: [ x ] }, { name: a, logins: [ y ] } ]'),
    ).toEqual([expect.stringMatching(/:9:49: error: .*name already/)]);
  });

  test.each([
    ['{ source: people, logins: "(uid={login})" }', /ldap\.source: there is no source of this name/],
    ['{ source: people }', /ldap: nobody is in it/],
    ['{ source: people, logins: "(uid={address})" }', /\{address\} is no place: there is \{login\}/],
    ['{ source: people, logins: "(uid=*)" }', /it has no \{login\}, so it would find everybody/],
    ['{ source: people, addresses: "(mail={login})" }', /\{login\} is no place/],
  ])('groups that a directory knows say who is asked, and about whom: %s', (ldap, problem) => {
    expect(problems('        when: {}', `[ { name: a, ldap: ${ldap} } ]`)).toEqual([
      expect.stringMatching(problem),
    ]);
  });

  test('a rule with an exception is no rule for every recipient', () => {
    const loaded = load(
      '        when: { not: { login: [ alice ] } } }\n    - { name: rest, sign: never, encrypt: never',
    );
    expect(loaded.kind === 'ok' && loaded.warnings.some(({ text }) => /never reached/.test(text))).toBe(
      false,
    );
  });

  test('tags are written as they are read in a Subject', () => {
    for (const tag of ['encrypt', 'a-1_b', 'x'.repeat(32), 'x'.repeat(33), '-x', 'ä', '']) {
      const taken = load(`        when: { subjectTag: [ "${tag}" ] }`).kind === 'ok';
      expect([tag, taken]).toEqual([tag, TAG.test(tag)]);
    }
  });
});

describe('demands as they are written', () => {
  test.each<[string, object]>([
    ['', { requireTls: 'no', algorithms: null, steering: null, stripTag: false, revocation: null }],
    ['form: triple-wrap', { form: 'triple-wrap' }],
    ['requireTls: onward', { requireTls: 'onward' }],
    ['revocation: hard', { revocation: 'hard' }],
    ['minTrust: directory', { minTrust: 'directory' }],
    [
      'algorithms: { signature: rsa-pss }',
      { algorithms: { contentEncryption: null, keyManagement: null, signature: 'rsa-pss' } },
    ],
    [
      'steering: { header: X-Steer }, stripTag: true',
      { steering: { tags: false, header: 'x-steer', mayLower: false }, stripTag: true },
    ],
    [
      'steering: { tags: true }, withoutCertificate: refuse-recipient',
      { steering: { tags: true, header: null, mayLower: false }, withoutCertificate: 'refuse-recipient' },
    ],
  ])('%s', (written, demands) => {
    const loaded = load(`        ${written}`);
    expect(loaded.kind === 'ok' ? loaded.config.policy.rules[0] : loaded.problems).toMatchObject(demands);
  });

  test.each<[string, string, RegExp]>([
    ['no tag to take out', 'stripTag: true', /:12:19: error: .*no tag to take out/],
    ['nothing steers', 'steering: { mayLower: true }', /:12:19: error: .*nothing steers/],
    ['nothing is pinned', 'algorithms: {}', /:12:21: error: .*nothing is said/],
    ['an unknown algorithm', 'algorithms: { signature: dsa }', /:12:34: error: .*rsa-pss/],
    ['TLS at will', 'requireTls: true', /:12:21: error: .*upstream/],
  ])('%s is told with line and column', (_, written, problem) => {
    expect(problems(`        ${written}`)).toEqual([expect.stringMatching(problem)]);
  });

  test.each<[string, RegExp]>([
    ['sign: never, encrypt: require, form: triple-wrap', /form: triple-wrap signs/],
    [
      'sign: require, encrypt: never, algorithms: { keyManagement: ecdh }',
      /keyManagement: this says something only/,
    ],
    [
      'sign: never, encrypt: require, algorithms: { signature: ecdsa }',
      /signature: this says something only/,
    ],
    ['sign: never, encrypt: never, steering: { tags: true, mayLower: true }', /nothing to lower/],
  ])('%s contradicts itself', (written, problem) => {
    const told = problems(`        when: { login: [ a ] } }\n    - { name: two, ${written}`);
    expect(told).toEqual([expect.stringMatching(problem)]);
  });
});
