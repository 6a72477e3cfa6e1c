import { type ItemReader, strictBase64 } from '../../../src/directory/interchange/item.ts';
import { ldifReader } from '../../../src/directory/interchange/ldif-reader.ts';
import { pemReader } from '../../../src/directory/interchange/pem-reader.ts';
import { kindOfFile } from '../../../src/directory/interchange/read-items.ts';
import { vcardReader } from '../../../src/directory/interchange/vcard-reader.ts';
import {
  EXPORT_HEADS,
  type ExportFormat,
  writeItem,
} from '../../../src/directory/interchange/write-items.ts';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { ecKey, generalName, makeDer, subjectAltName } from '../../pki/make-certificate.ts';
import { type FuzzTarget, holds } from '../target.ts';

/** Files of certificates that an administrator was given by somebody. */

function target(format: ExportFormat, reader: () => ItemReader, dictionary: readonly string[]): FuzzTarget {
  return {
    name: `directory-${format}`,
    form: 'lines',
    allowed: [],
    dictionary,
    budget: { ms: 50, usPerOctet: 20 },
    caches: 8 * 1024 * 1024,
    prepare() {
      const der = makeDer({
        ...{ subject: 'Bob', issuer: 'CA', key: ecKey('bob'), issuerKey: ecKey('ca') },
        extensions: [subjectAltName(generalName.mailbox('bob@example.org'))],
      });
      const certificate = parseCertificate(der);
      const seed = EXPORT_HEADS[format] + writeItem({ address: 'bob@example.org', certificate }, format);
      return {
        seeds: [Buffer.from(seed), Buffer.from(seed.replaceAll('\n', '\r\n'))],
        run(input) {
          kindOfFile(input);
          const one = reader();
          const items = input
            .toString('utf8')
            .split('\n')
            .flatMap((line, i) => [...one.line(line.replace(/\r$/, ''), i + 1)]);
          items.push(...one.end());
          for (const item of items) {
            holds(item.place.length < 300, 'a place is never long');
            if (item.kind === 'certificate') {
              const base64 = item.certificate.der.toString('base64');
              holds(strictBase64(base64) !== null, 'what was read is canonical');
            }
          }
          return items.map((item) => (item.kind === 'problem' ? item.why : item.certificate.fingerprint));
        },
      };
    },
  };
}

export const directoryTargets: readonly FuzzTarget[] = [
  target('ldif', ldifReader, [
    'dn: ',
    'dn:: ',
    'version: 1',
    'userCertificate;binary:: ',
    'userSMIMECertificate;binary:: ',
    'changetype: add',
    ' ',
    '#',
    ':<',
    '-',
  ]),
  target('vcard', vcardReader, [
    'BEGIN:VCARD',
    'END:VCARD',
    'KEY:',
    'KEY;ENCODING=b:',
    'data:application/pkix-cert;base64,',
    'TYPE=X509',
    'FN:',
    '\t',
    '"',
    'VALUE=uri',
  ]),
  target('pem', pemReader, ['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', 'PKCS7', 'CMS']),
];
