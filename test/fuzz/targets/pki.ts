import { readWhole } from '../../../src/asn1/reader.ts';
import { sequence } from '../../../src/asn1/writer.ts';
import { SealgateError } from '../../../src/errors.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';
import { parseCrl } from '../../../src/pki/crl.ts';
import { parseGeneralName, parseGeneralNames } from '../../../src/pki/general-name.ts';
import { parseMailbox } from '../../../src/pki/mailbox.ts';
import { isEmptyName, nameForPeople, nameKey, parseName, sameName } from '../../../src/pki/name.ts';
import { parseNameConstraints } from '../../../src/pki/name-constraints.ts';
import { isWithinSubtree } from '../../../src/pki/name-subtree.ts';
import { parseOcspResponse } from '../../../src/pki/ocsp.ts';
import { validatePath } from '../../../src/pki/path.ts';
import { readPem, writePem } from '../../../src/pki/pem.ts';
import { parsePolicyExtensions } from '../../../src/pki/policy-extensions.ts';
import { speaksFor } from '../../../src/pki/speaks-for.ts';
import {
  certificatePolicies,
  distinguishedName,
  ecKey,
  emailAddress,
  extendedKeyUsage,
  generalName,
  makeCa,
  makeDer,
  makeEnd,
  nameConstraints,
  now,
  policyMappings,
  requireExplicitPolicy,
  subjectAltName,
} from '../../pki/make-certificate.ts';
import { cRLDistributionPoints, makeCrlDer } from '../../pki/make-crl.ts';
import { makeOcspDer, refusal } from '../../pki/make-ocsp.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { corpusFiles } from './corpus.ts';

const allowed = ['pki.malformed', 'asn1.malformed'];

const names = [
  generalName.mailbox('bob@example.org'),
  generalName.smtpUtf8('bøb@example.org'),
  generalName.dns('mail.example.org'),
  generalName.uri('https://ca.example.org/crl'),
  generalName.ip(192, 0, 2, 1),
  generalName.directory(distinguishedName(['2.5.4.3', 'Bob'])),
  generalName.other('1.2.3.4', Buffer.from([5, 0])),
];

const constraints = (): Buffer =>
  nameConstraints(
    [generalName.mailbox('example.org'), generalName.mailbox('.example.org'), generalName.dns('example.org')],
    [
      generalName.ip(192, 0, 2, 0, 255, 255, 255, 0),
      generalName.directory(distinguishedName(['2.5.4.3', 'No'])),
    ],
  );

function certificates(): Buffer[] {
  return [
    makeCa('CA', 'CA', [constraints(), certificatePolicies('1.2.3'), policyMappings(['1.2.3', '1.2.4'])]).der,
    makeEnd('Bob', 'CA', [
      subjectAltName(...names),
      extendedKeyUsage(false, '1.3.6.1.5.5.7.3.4'),
      cRLDistributionPoints({ uri: 'http://ca.example.org/crl', reasons: [1, 3] }),
      requireExplicitPolicy(2),
    ]).der,
    makeDer({
      subject: distinguishedName(['2.5.4.3', 'Bob'], emailAddress('bob@example.org')),
      issuer: 'CA',
      key: ecKey('Bob'),
      issuerKey: ecKey('CA'),
    }),
    ...corpusFiles('pkits', /\.crt$/, 30),
    ...corpusFiles('rfc9216', /\.(crt|cer|der)$/, 4),
  ];
}

function crls(): Buffer[] {
  const key = ecKey('CA');
  return [
    makeCrlDer({ issuer: 'CA', key, number: 3, entries: [{ serial: 5, reason: 1 }, { serial: 6 }] }),
    makeCrlDer({
      issuer: 'CA',
      key,
      base: 1,
      number: 2,
      scope: { uri: 'http://a/', reasons: [1], indirect: true },
    }),
    makeCrlDer({
      issuer: 'CA',
      key,
      scope: { only: 'user', indirect: true },
      entries: [{ serial: 9, issuers: ['B'] }],
    }),
    makeCrlDer({ issuer: 'CA', key, version: null, nextUpdate: null }),
    ...corpusFiles('pkits', /\.crl$/, 20),
  ];
}

export const pkiTargets: readonly FuzzTarget[] = [
  {
    name: 'pki-certificate',
    form: 'tlv',
    allowed,
    budget: { ms: 50, usPerOctet: 2 },
    prepare: () => ({
      seeds: certificates(),
      run(input) {
        const certificate = parseCertificate(input);
        holds(
          certificate.der.equals(input) && certificate.der.buffer !== input.buffer,
          'a certificate has a copy',
        );
        const policies = orCode(() => parsePolicyExtensions(certificate.extensions));
        holds(sameName(certificate.subject, certificate.subject), 'a name is like itself');
        return { certificate, policies, says: speaksFor(certificate, 'bob@example.org') };
      },
    }),
  },
  {
    name: 'pki-path',
    form: 'tlv',
    allowed,
    budget: { ms: 300, usPerOctet: 5 },
    caches: 24 * 1024 * 1024,
    prepare: () => {
      const root = makeCa('Root');
      const middle = makeCa('CA', 'Root', [constraints()]);
      return {
        seeds: [
          makeEnd('Bob', 'CA', [subjectAltName(names[0] as Buffer)]).der,
          makeCa('Sub', 'CA').der,
          middle.der,
        ],
        run(input) {
          const certificate = parseCertificate(input);
          const asked = { certificate, pool: [middle, certificate], anchors: [root], at: now };
          const report = validatePath(asked);
          const known = [middle.der, root.der].some((der) => der.equals(input));
          if (report.outcome === 'valid' && !known) {
            // Nobody can sign for the CA: only what its key has signed is valid.
            holds(report.path[1] === middle || report.path[1] === root, 'a valid path leads over the CA');
          }
          return report.outcome;
        },
      };
    },
  },
  {
    name: 'pki-crl',
    form: 'tlv',
    allowed,
    budget: { ms: 50, usPerOctet: 2 },
    prepare: () => ({
      seeds: crls(),
      run(input) {
        const crl = parseCrl(input);
        return [crl.issuer.text, crl.thisUpdate, crl.nextUpdate, crl.find(Buffer.from([5]), crl.issuer)];
      },
    }),
  },
  {
    name: 'pki-ocsp-response',
    form: 'tlv',
    allowed,
    budget: { ms: 50, usPerOctet: 2 },
    prepare: () => {
      const issuer = makeCa('CA');
      const certificate = makeEnd('Bob', 'CA');
      const recipe = { certificate, issuer, key: ecKey('CA') };
      return {
        seeds: [
          makeOcspDer(recipe),
          makeOcspDer({
            ...recipe,
            status: 'revoked',
            byName: true,
            certificates: [issuer],
            digest: 'sha256',
          }),
          makeOcspDer({ ...recipe, status: 'unknown', nextUpdate: null }),
          refusal(3),
        ],
        run: (input) => parseOcspResponse(input),
      };
    },
  },
  {
    name: 'pki-name',
    form: 'tlv',
    allowed,
    prepare: () => ({
      seeds: [
        distinguishedName(['2.5.4.6', 'DE'], ['2.5.4.10', 'Größe  ＆ Co'], ['2.5.4.3', ' Bob,"#']),
        distinguishedName(emailAddress('bob@example.org'), ['1.2.3', Buffer.from([30, 2, 0, 0x41])]),
        ...certificates()
          .slice(0, 6)
          .map((der) => parseCertificate(der).subject.der),
      ],
      run(input) {
        const name = parseName(readWhole(input, 'DER'));
        holds(!/[\p{Cc}\p{Zl}\p{Zp}]/u.test(nameForPeople(name)), 'what people are shown has no controls');
        return [name, nameKey(name), isEmptyName(name)];
      },
    }),
  },
  {
    name: 'pki-name-constraints',
    form: 'tlv',
    allowed,
    prepare: () => {
      const bases = names.map((name) => parseGeneralName(readWhole(name, 'DER')));
      return {
        // The value of the extension, behind its OID, flag and OCTET STRING.
        seeds: [readWhole(constraints(), 'DER').content.subarray(5 + 3 + 2), sequence(...names)],
        run(input) {
          const element = readWhole(input, 'DER');
          const named = orCode(() => parseGeneralNames(element));
          const said = orCode(() => parseNameConstraints(element));
          const all = [
            ...(typeof named === 'string' ? [] : named),
            ...(typeof said === 'string' ? [] : [...said.permitted, ...said.excluded]),
          ];
          return all.slice(0, 50).map((name) => {
            const mailbox = 'text' in name ? parseMailbox(name.text) : null;
            return [
              mailbox,
              ...bases.flatMap((base) => [isWithinSubtree(name, base), isWithinSubtree(base, name)]),
            ];
          });
        },
      };
    },
  },
  {
    name: 'pki-pem',
    form: 'mail',
    allowed,
    dictionary: [
      '-----BEGIN ',
      '-----END ',
      'CERTIFICATE',
      '-----',
      'PRIVATE KEY',
      '\n',
      '=',
      '\xef\xbb\xbf',
    ],
    prepare: () => ({
      seeds: [
        Buffer.from(
          certificates()
            .slice(0, 2)
            .map((der) => writePem('CERTIFICATE', der))
            .join('text\n'),
        ),
        Buffer.from(writePem('X509 CRL', crls()[0] as Buffer)),
      ],
      run(input) {
        const objects = readPem(input.toString('latin1'));
        for (const { label, der } of objects) {
          const [again] = readPem(writePem(label, der));
          holds(again?.label === label && again.der.equals(der), 'PEM is read as it was written');
        }
        return objects;
      },
    }),
  },
  {
    name: 'pki-certificate-file',
    form: 'mail',
    allowed: [...allowed, 'pki.no-certificate'],
    budget: { ms: 50, usPerOctet: 3 },
    dictionary: ['-----BEGIN PKCS7-----\n', '-----END PKCS7-----\n', '-----BEGIN CERTIFICATE-----\n'],
    prepare: () => ({
      seeds: [
        Buffer.from(
          certificates()
            .slice(0, 2)
            .map((der) => writePem('CERTIFICATE', der))
            .join(''),
        ),
        certificates()[0] as Buffer,
        ...corpusFiles('pkits', /\.p7[bc]$/, 4),
      ],
      run: (input) => readCertificates(input).map(({ fingerprint }) => fingerprint),
    }),
  },
];

function orCode<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealgateError && allowed.includes(error.code)) return error.code;
    throw error;
  }
}
