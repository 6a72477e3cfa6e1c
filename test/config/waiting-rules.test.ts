import { describe, expect, test } from 'vitest';
import { noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';
import { parsePolicy } from '../../src/config/load-policy.ts';
import { formatProblem } from '../../src/config/problem.ts';

/** Rules about mail that waits, as they are written. The rule's own words are line 9, or 10 behind `queue`. */
function text(rule: string, queue: boolean): string {
  const section = queue
    ? 'queue: { key: gateway, address: gw@example.org, server: { host: mx.example.org, port: 25, tls: starttls } }\n'
    : '';
  return `${section}hostname: gw.example.org
submission:
  - { name: submission, host: 127.0.0.1, port: 2587, tls: none,
      upstream: { host: 127.0.0.1, port: 25, tls: none } }
keys: [ { name: gateway, kind: pem, certificate: g.crt, key: g.key } ]
policy:
  rules:
    - { name: it,
        ${rule} }
`;
}

function load(rule: string, queue = true) {
  return parseConfig('g.yaml', text(rule, queue), noFiles);
}

/** Of the rule alone. */
function problems(rule: string, queue = true): string[] {
  const loaded = load(rule, queue);
  const all = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return all.map(formatProblem).filter((line) => line.includes(': error: policy.rules'));
}

const HOLD = 'sign: require, encrypt: require, withoutCertificate: hold';

describe('rules for mail that waits', () => {
  test.each<[string, object]>([
    [HOLD, { withoutCertificate: 'hold', introduce: false, notify: [], appendTo: null }],
    ['sign: never, encrypt: require, withoutCertificate: hold', { withoutCertificate: 'hold' }],
    [
      'sign: require, encrypt: require, withoutCertificate: ask, introduce: true, notify: [ it@example.org ]',
      { withoutCertificate: 'ask', introduce: true, notify: ['it@example.org'] },
    ],
    [
      'sign: require, encrypt: if-possible, steering: { tags: true }, withoutCertificate: hold',
      { withoutCertificate: 'hold' },
    ],
  ])('%s', (written, rule) => {
    const { kind, policy } = parsePolicyOf(written);
    expect([kind, policy?.rules[0]]).toMatchObject(['ok', rule]);
    expect(problems(written)).toEqual([]);
  });

  test.each<[string, RegExp, boolean?]>([
    [`${HOLD}, form: triple-wrap`, /:10:74: error: policy\.rules\[0\]\.form: .*signs again/],
    ['sign: never, encrypt: require, withoutCertificate: ask', /:10:60: error: .*say hold/],
    ['sign: require, encrypt: require, introduce: true', /:10:53: error: .*only with withoutCertificate/],
    [
      `sign: never, encrypt: require, withoutCertificate: hold, introduce: true`,
      /:10:77: error: .*note is signed/,
    ],
    [
      'sign: require, encrypt: never, withoutCertificate: hold',
      /:10:60: error: .*only with encrypt: require/,
    ],
    [HOLD, /:9:62: error: .*needs the section queue/, false],
    [
      'sign: require, encrypt: never, notify: [ it@example.org ]',
      /:9:48: error: .*needs the section queue/,
      false,
    ],
    ['sign: require, encrypt: never, notify: [ somebody ]', /:10:50: error: .*mail address/],
    ['sign: require, encrypt: never, appendTo: sent', /:10:50: error: .*archive/],
  ])('%s is told with line and column', (written, problem, queue = true) => {
    expect(problems(written, queue)).toEqual([expect.stringMatching(problem)]);
  });

  test('candidates for a replay need no queue of their own', () => {
    expect(parsePolicyOf(HOLD, false).kind).toBe('ok');
  });
});

function parsePolicyOf(written: string, queue = true) {
  const loaded = parsePolicy('g.yaml', text(written, queue), []);
  return loaded.kind === 'ok' ? loaded : { ...loaded, policy: null };
}
