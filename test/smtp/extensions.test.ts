import { expect, test } from 'vitest';
import {
  growth,
  offeredExtensions,
  readExtensions,
  sizeAfterGrowth,
  sizeBeforeGrowth,
} from '../../src/smtp/extensions.ts';

const offer = (lines: readonly string[], changes: object = {}) =>
  offeredExtensions({
    upstream: readExtensions({ code: 250, lines: ['mail.example.org greets', ...lines] }),
    maxMessageOctets: 67_108_864,
    startTls: false,
    authentication: true,
    relayMechanisms: [],
    ...changes,
  });

test('offered is what the upstream has and we can carry; the rest is stripped', () => {
  expect(
    offer([
      'PIPELINING',
      'CHUNKING',
      'SIZE 36700160',
      'VRFY',
      'ETRN',
      'STARTTLS',
      'AUTH GSSAPI PLAIN SCRAM-SHA-256 login',
      'AUTH=LOGIN PLAIN',
      'ENHANCEDSTATUSCODES',
      '8bitmime',
      'DSN',
      'SMTPUTF8',
      'CHUNKING',
      'BINARYMIME',
      'BURL imap',
      'XCLIENT NAME',
      'REQUIRETLS',
      'FUTURERELEASE 1 2',
      'LIMITS RCPTMAX=20',
    ]),
  ).toEqual([
    'PIPELINING',
    'CHUNKING',
    `SIZE ${sizeBeforeGrowth(36_700_160)}`,
    '8BITMIME',
    'SMTPUTF8',
    'DSN',
    'ENHANCEDSTATUSCODES',
    'REQUIRETLS',
    'LIMITS RCPTMAX=20',
    'AUTH PLAIN LOGIN',
    'HELP',
  ]);
});

test('an upstream that offers nothing: PIPELINING and HELP are ours', () => {
  expect(offer([])).toEqual(['PIPELINING', 'CHUNKING', 'LIMITS RCPTMAX=1000', 'HELP']);
});

test('before STARTTLS nothing that needs the upstream or a secret is offered', () => {
  expect(
    offeredExtensions({
      upstream: null,
      maxMessageOctets: 1,
      startTls: true,
      authentication: false,
      relayMechanisms: [],
    }),
  ).toEqual(['PIPELINING', 'STARTTLS', 'HELP']);
});

test('AUTH is offered in the forms that can be said upstream', () => {
  expect(offer(['AUTH LOGIN'])).toContain('AUTH PLAIN LOGIN');
  expect(offer(['AUTH XOAUTH2'])).toContain('AUTH XOAUTH2');
  expect(offer(['AUTH GSSAPI NTLM'])).toEqual(['PIPELINING', 'CHUNKING', 'LIMITS RCPTMAX=1000', 'HELP']);
  expect(offer(['AUTH PLAIN'], { authentication: false })).toEqual([
    'PIPELINING',
    'CHUNKING',
    'LIMITS RCPTMAX=1000',
    'HELP',
  ]);
});

test('SIZE leaves room for the growth by protection, and never exceeds ours', () => {
  expect(offer(['SIZE 26214400'])).toContain(
    `SIZE ${Math.floor((26_214_400 - growth.octets) / growth.factor)}`,
  );
  expect(offer(['SIZE 26214400'], { maxMessageOctets: 1_000 })).toContain('SIZE 1000');
  for (const unlimited of ['SIZE', 'SIZE 0', 'SIZE x']) expect(offer([unlimited])).toContain('SIZE 67108864');
  // Not 0, which would be no limit.
  expect(offer(['SIZE 100'])).toContain('SIZE 1');
  for (const octets of [0, 1, 65_536, 10_000_000]) {
    expect(sizeAfterGrowth(sizeBeforeGrowth(100_000 + octets))).toBeLessThanOrEqual(100_001 + octets);
  }
});

test('RFC 9422: our bounds and the upstream’s, whichever are tighter', () => {
  expect(offer(['LIMITS rcptmax=5000 MAILMAX=20 RCPTDOMAINMAX=1 WHAT=3'])).toContain(
    'LIMITS MAILMAX=20 RCPTMAX=1000 RCPTDOMAINMAX=1',
  );
  expect(offer(['LIMITS RCPTMAX=100'])).toContain('LIMITS RCPTMAX=100');
  for (const odd of [
    'RCPTMAX=0',
    'RCPTMAX=',
    'RCPTMAX',
    'RCPTMAX=-1',
    'RCPTMAX=1234567',
    'RCPTMAX=1e3',
    '',
  ]) {
    expect(offer([`LIMITS ${odd}`]), odd).toContain('LIMITS RCPTMAX=1000');
  }
});
