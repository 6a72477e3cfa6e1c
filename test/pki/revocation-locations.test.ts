import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nullValue, oid, sequence } from '../../src/asn1/writer.ts';
import { hasNoRevocationAvailable, revocationLocations } from '../../src/pki/revocation-locations.ts';
import { extension, generalName, makeEnd } from './make-certificate.ts';
import { cRLDistributionPoints, freshestCRL } from './make-crl.ts';

const AIA = '1.3.6.1.5.5.7.1.1';
const OCSP = '1.3.6.1.5.5.7.48.1';
const CA_ISSUERS = '1.3.6.1.5.5.7.48.2';
const description = (method: string, location: Buffer) => sequence(oid(method), location);
const of = (...extensions: Buffer[]) => revocationLocations(makeEnd('End', 'CA', extensions));

describe('where a certificate says that evidence is', () => {
  test('responders, CRLs and deltas, in its own order; nothing else', () => {
    const aia = sequence(
      description(CA_ISSUERS, generalName.uri('http://ca.example/ca.crt')),
      description(OCSP, generalName.uri('http://one.example')),
      description(OCSP, generalName.dns('two.example')),
      description(OCSP, generalName.uri('http://three.example')),
    );
    const points = cRLDistributionPoints(
      { uri: 'http://a.example' },
      { names: ['P'] },
      { uri: 'ldap://b.example' },
    );
    expect(of(extension(AIA, aia), points, freshestCRL({ uri: 'http://d.example' }))).toEqual({
      ocsp: ['http://one.example', 'http://three.example'],
      crls: [['http://a.example'], ['ldap://b.example']],
      deltas: [['http://d.example']],
    });
    expect(of()).toEqual({ ocsp: [], crls: [], deltas: [] });
  });

  test('what cannot be read names no place, and never throws', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.constantFrom(AIA, '2.5.29.31', '2.5.29.46'),
        (octets, type) => {
          const { ocsp, crls, deltas } = of(extension(type, Buffer.from(octets)));
          expect([...ocsp, ...crls.flat(), ...deltas.flat()].every((url) => typeof url === 'string')).toBe(
            true,
          );
        },
      ),
    );
  });

  test('a list without end is none', () => {
    const one = description(OCSP, generalName.uri('http://x.example'));
    expect(of(extension(AIA, sequence(...Array.from({ length: 64 }, () => one)))).ocsp).toHaveLength(64);
    expect(of(extension(AIA, sequence(...Array.from({ length: 65 }, () => one)))).ocsp).toEqual([]);
  });

  test('none, by noRevAvail, only where it names none (RFC 9608)', () => {
    const none = extension('2.5.29.56', nullValue());
    const says = (...extensions: Buffer[]) => hasNoRevocationAvailable(makeEnd('End', 'CA', extensions));
    expect(says(none)).toBe(true);
    expect(says()).toBe(false);
    expect(says(none, freshestCRL({ uri: 'http://d.example' }))).toBe(false);
    expect(says(none, extension(AIA, sequence(description(OCSP, generalName.uri('http://x.example')))))).toBe(
      false,
    );
    expect(
      says(none, extension(AIA, sequence(description(CA_ISSUERS, generalName.uri('http://x.example'))))),
    ).toBe(true);
  });
});
