import { expect, test } from 'vitest';
import {
  capabilitiesAfterLogin,
  capabilitiesBeforeLogin,
  offeredMechanisms,
} from '../../src/imap-proxy/capability.ts';
import { readArguments, readCommandStart } from '../../src/imap-proxy/client-command.ts';
import { commandHandler } from '../../src/imap-proxy/command-table.ts';
import { enableArguments } from '../../src/imap-proxy/commands/enable.ts';
import { pass } from '../../src/imap-proxy/commands/pass.ts';
import { cleanCapability, cleanStatus, readServerLine } from '../../src/imap-proxy/server-line.ts';

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

const USUAL = { storesAtRest: false, hidden: new Set<string>() };

test('what an administrator hides is not told, before the login and behind it', () => {
  const hidden = new Set(['IDLE', 'COMPRESS=DEFLATE', 'AUTH=XOAUTH2', 'SASL-IR']);
  expect(capabilitiesAfterLogin(['IMAP4rev1', 'idle', 'MOVE'], { ...USUAL, hidden }).join(' ')).toBe(
    'IMAP4rev1 MOVE LITERAL+ INPROGRESS',
  );
  const state = { mechanisms: ['PLAIN', 'XOAUTH2'], startTls: false, loginAllowed: true, hidden };
  expect(capabilitiesBeforeLogin(state).join(' ')).toBe('IMAP4rev1 LITERAL- ID AUTH=PLAIN');
});

test('capabilities that lead around the gateway are not shown', () => {
  const upstream =
    'IMAP4rev1 IMAP4rev2 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFS MULTIAPPEND URL-PARTIAL CATENATE ' +
    'UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH ESORT SEARCHRES WITHIN ' +
    'CONTEXT=SEARCH LIST-STATUS BINARY MOVE SNIPPET=FUZZY PREVIEW=FUZZY PREVIEW STATUS=SIZE SAVEDATE COMPRESS=DEFLATE LITERAL+ ' +
    'NOTIFY SPECIAL-USE QUOTA AUTH=PLAIN JMAPACCESS UIDONLY UNAUTHENTICATE XYZZY';
  expect(capabilitiesAfterLogin(upstream.split(' '), USUAL).join(' ')).toBe(
    'IMAP4rev1 ID ENABLE IDLE SORT SORT=DISPLAY THREAD=REFS MULTIAPPEND UNSELECT CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED ' +
      'I18NLEVEL=1 CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN LIST-STATUS BINARY MOVE PREVIEW STATUS=SIZE SAVEDATE SPECIAL-USE QUOTA LITERAL+ COMPRESS=DEFLATE INPROGRESS',
  );
});

test('where mail is encrypted before it is stored, it is stored one by one, and may be as large as what becomes of it', () => {
  const told = (upstream: string): string =>
    capabilitiesAfterLogin(upstream.split(' '), { ...USUAL, storesAtRest: true }).join(' ');
  expect(told('IMAP4rev1 MULTIAPPEND REPLACE APPENDLIMIT=10000000')).toBe(
    'IMAP4rev1 REPLACE APPENDLIMIT=7137005 LITERAL+ COMPRESS=DEFLATE INPROGRESS',
  );
  expect(told('IMAP4rev1 APPENDLIMIT')).toBe(
    'IMAP4rev1 APPENDLIMIT=47929051 LITERAL+ COMPRESS=DEFLATE INPROGRESS',
  );
  expect(told('IMAP4rev1 APPENDLIMIT=100')).toBe(
    'IMAP4rev1 APPENDLIMIT=0 LITERAL+ COMPRESS=DEFLATE INPROGRESS',
  );
});

test('before login only mechanisms that both sides have, and none without TLS', () => {
  const mechanisms = offeredMechanisms(new Set(['AUTH=PLAIN', 'AUTH=XOAUTH2', 'AUTH=SCRAM-SHA-256-PLUS']));
  expect(mechanisms).toEqual(['PLAIN', 'LOGIN', 'XOAUTH2']);
  expect(offeredMechanisms(new Set(['LOGINDISABLED', 'AUTH=OAUTHBEARER']))).toEqual(['OAUTHBEARER']);
  const state = { mechanisms, startTls: true, loginAllowed: false, hidden: USUAL.hidden };
  expect(capabilitiesBeforeLogin(state).join(' ')).toBe(
    'IMAP4rev1 SASL-IR LITERAL- ID STARTTLS LOGINDISABLED',
  );
});

test('free text cannot look like a literal, and nobody is sent to another server', () => {
  const clean = (text: string): string => cleanStatus(latin1(`${text}\r\n`), USUAL).toString('latin1');
  expect(clean('* OK text {5}')).toBe('* OK text {5)\r\n');
  expect(clean('t1 NO text {5+}')).toBe('t1 NO text {5+)\r\n');
  expect(clean('t1 NO [REFERRAL imap://evil.example/x] gone')).toBe('t1 NO gone\r\n');
  expect(clean('t1 OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE IDLE] in')).toBe(
    't1 OK [CAPABILITY IMAP4rev1 IDLE LITERAL+ COMPRESS=DEFLATE INPROGRESS] in\r\n',
  );
  expect(clean('* OK [UIDVALIDITY 7] ok')).toBe('* OK [UIDVALIDITY 7] ok\r\n');
  expect(cleanCapability(latin1('* CAPABILITY IMAP4rev1 NOTIFY\r\n'), USUAL).toString()).toBe(
    '* CAPABILITY IMAP4rev1 LITERAL+ COMPRESS=DEFLATE INPROGRESS\r\n',
  );
});

test('server lines', () => {
  const kind = (text: string): string => readServerLine(latin1(`${text}\r\n`)).kind;
  expect(kind('* 12 FETCH (UID 1)')).toBe('fetch');
  expect(kind('* 3 EXPUNGE')).toBe('expunge');
  expect(kind('* VANISHED (EARLIER) 1:5')).toBe('vanished');
  expect(kind('* 3 EXISTS')).toBe('data');
  expect(kind('* SEARCH 1 2')).toBe('data');
  expect(kind('* BYE x')).toBe('status');
  expect(kind('* XSOMETHING x')).toBe('unknown');
  expect(kind('* 0 FETCH (UID 1)')).toBe('unknown');
  expect(kind('+ go')).toBe('continuation');
  expect(kind('t1 OK')).toBe('tagged');
  expect(kind('t1 HUH')).toBe('unknown');
});

test('server lines that end early', () => {
  const line = '* 12 FETCH (UID 1)';
  for (let length = 0; length <= line.indexOf('('); length++) {
    const kind = readServerLine(latin1(`${line.slice(0, length)}\r\n`)).kind;
    expect(kind).toBe(length < '* 12 FETCH'.length ? 'unknown' : 'fetch');
  }
});

test('commands', () => {
  expect(readCommandStart(latin1('a1 uid fetch 1 (FLAGS)\r\n'))).toEqual({
    tag: 'a1',
    name: 'UID FETCH',
    argument: '1 (FLAGS)',
  });
  expect(readCommandStart(latin1('a+1 NOOP\r\n'))).toBeNull();
  expect(readCommandStart(latin1('* NOOP\r\n'))).toBeNull();
  expect(commandHandler('NOSUCHCOMMAND')).toBeNull();
  expect(commandHandler('XAPPLE')).toBeNull();
  expect(commandHandler('UID EXPUNGE')).toBe(pass);
  expect(enableArguments('condstore IMAP4rev2 UTF8=ACCEPT')).toEqual(['CONDSTORE', 'UTF8=ACCEPT']);
});

test('arguments: atoms, quoted strings, literals', () => {
  const strings = readArguments([
    { kind: 'text', text: 'bob "a \\"b\\\\" ' },
    { kind: 'literal', octets: latin1('x y') },
    { kind: 'text', text: '' },
  ])?.map((each) => (each.kind === 'string' ? each.octets.toString() : each.text));
  expect(strings).toEqual(['bob', 'a "b\\', 'x y']);
  expect(readArguments([{ kind: 'text', text: 'bob "open' }])).toBeNull();
  expect(readArguments([{ kind: 'text', text: 'bob  two' }])).toBeNull();
});

test('RFC 7162 §3.2.5: arguments with lists in lists', () => {
  const read = (text: string) => readArguments([{ kind: 'text', text }]);
  const list = '(QRESYNC (67890007 20050715194045000 41,43:211 (1:2 "a)(b")))';
  expect(read(`INBOX ${list}`)).toEqual([
    { kind: 'string', octets: latin1('INBOX') },
    { kind: 'list', text: list },
  ]);
  expect(read(`${list} INBOX`)?.length).toBe(2);
  for (const text of ['a (b', 'a (b (c)', 'a (b)c', 'a ("b)', 'a )b(']) expect(read(text)).toBeNull();
});
