import { createHash, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { readAssociation } from '../../src/directory/smimea/association.ts';
import { daneProblem } from '../../src/routing/dane.ts';
import {
  basicConstraints,
  ecKey,
  generalName,
  keyUsage,
  makeDer,
  now,
  subjectAltName,
} from '../pki/make-certificate.ts';
import { tlsaRecord } from './support/records.ts';

const HOST = 'mx.example';
const root = makeDer({
  subject: 'root',
  key: ecKey('root'),
  extensions: [basicConstraints(true), keyUsage(5, 6)],
});
type Changes = { names?: readonly string[]; notAfter?: Date; issuerKey?: string };
const leaf = ({ names = [HOST], notAfter, issuerKey = 'root' }: Changes = {}) =>
  makeDer({
    ...{ subject: HOST, issuer: 'root', key: ecKey('leaf'), issuerKey: ecKey(issuerKey) },
    ...(notAfter === undefined ? {} : { notAfter }),
    extensions: names.length === 0 ? [] : [subjectAltName(...names.map((name) => generalName.dns(name)))],
  });
const sha = (algorithm: string, octets: Buffer) => createHash(algorithm).update(octets).digest();
const key = (der: Buffer) => new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' });

function problem(chain: readonly Buffer[], ...records: readonly Buffer[]): string | null {
  const associations = records.map(readAssociation).filter((one) => one !== null);
  const shown = chain.map((der) => new X509Certificate(der));
  return daneProblem(shown, { associations, names: [HOST, 'example'] }, now);
}

// Signed anew each time, so one is used for all.
const one = leaf();

test.each<[string, Buffer]>([
  ['3 0 0', one],
  ['3 0 1', sha('sha256', one)],
  ['3 0 2', sha('sha512', one)],
  ['3 1 0', key(one)],
  ['3 1 1', sha('sha256', key(one))],
  ['3 1 2', sha('sha512', key(one))],
  ['2 0 0', root],
  ['2 0 1', sha('sha256', root)],
  ['2 1 0', key(root)],
  ['2 1 2', sha('sha512', key(root))],
])('%s fits what it names, beside others that do not', (numbers, data) => {
  const [usage = 0, selector = 0, matching = 0] = numbers.split(' ').map(Number);
  const other = tlsaRecord(3, 1, 1, Buffer.alloc(32));
  expect(problem([one, root], other, tlsaRecord(usage, selector, matching, data))).toBeNull();
});

test('an authority that is in its record whole need not be shown', () => {
  expect(problem([one], tlsaRecord(2, 0, 0, root))).toBeNull();
});

test('a key that the domain names is good whatever its certificate says (RFC 7672 §3.1.1); below an authority it is not', () => {
  const old = leaf({ names: ['other.example'], notAfter: new Date('2021-01-01T00:00:00Z') });
  expect(problem([old, root], tlsaRecord(3, 1, 1, sha('sha256', key(old))))).toBeNull();
  const ofRoot = tlsaRecord(2, 0, 1, sha('sha256', root));
  expect(problem([old, root], ofRoot)).toMatch(/leads to no authority/);
  expect(problem([leaf({ names: ['other.example'] }), root], ofRoot)).toMatch(
    /is not for mx\.example or example/,
  );
  expect(problem([leaf({ names: ['example'] }), root], ofRoot)).toBeNull();
  // The name of its subject is none.
  expect(problem([leaf({ names: [] }), root], ofRoot)).toMatch(/is not for/);
});

test('a key that the domain names is good in a certificate without any name, which names no authority (RFC 7671 §5.1)', () => {
  const bare = makeDer({ subject: Buffer.from('3000', 'hex'), key: ecKey('leaf'), extensions: [] });
  expect(problem([bare], tlsaRecord(3, 1, 1, sha('sha256', key(bare))))).toBeNull();
  expect(problem([bare], tlsaRecord(3, 0, 2, sha('sha512', bare)))).toBeNull();
  expect(problem([bare], tlsaRecord(3, 1, 1, Buffer.alloc(32)))).toMatch(/not the one/);
  expect(problem([bare, root], tlsaRecord(2, 0, 1, sha('sha256', root)))).toMatch(/cannot be read/);
});

test('attack: an authority that is only shown, or whose name alone fits, vouches for nothing', () => {
  const forged = leaf({ issuerKey: 'eve' });
  const ofRoot = tlsaRecord(2, 1, 1, sha('sha256', key(root)));
  expect(problem([forged, root], ofRoot)).toMatch(/leads to no authority/);
  expect(problem([one], ofRoot)).toMatch(/no issuer/);
  // The server's own certificate is no authority of its own.
  expect(problem([one], tlsaRecord(2, 1, 1, sha('sha256', key(one))))).toMatch(/no issuer/);
  expect(problem([], ofRoot)).toMatch(/no certificate/);
  expect(problem([one, root], tlsaRecord(3, 1, 1, sha('sha256', key(root))))).toMatch(/not the one/);
});
