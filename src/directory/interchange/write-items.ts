import type { Certificate } from '../../pki/certificate.ts';
import { writePem } from '../../pki/pem.ts';

/** How certificates leave the directory. Pure. */

export type ExportFormat = 'pem' | 'ldif' | 'vcard';

export type Exported = { address: string; certificate: Certificate };

export const EXPORT_HEADS: Readonly<Record<ExportFormat, string>> = {
  pem: '',
  ldif: 'version: 1\n\n',
  vcard: '',
};

/** One certificate under one address, as a piece of a file. Addresses are in the directory's form, without line ends. */
export function writeItem({ address, certificate }: Exported, format: ExportFormat): string {
  switch (format) {
    case 'pem':
      return writePem('CERTIFICATE', certificate.der);
    case 'ldif':
      return ldifEntry(address, certificate);
    case 'vcard':
      return vcard(address, certificate);
  }
}

/** RFC 2849; the attributes are those of RFC 2798 (inetOrgPerson). */
function ldifEntry(address: string, certificate: Certificate): string {
  const dn = `mail=${address.replace(/[,+"\\<>;=#]/g, '\\$&')}`;
  const lines = [
    ldifLine('dn', dn),
    'objectClass: inetOrgPerson',
    ldifLine('cn', address),
    ldifLine('sn', address),
    ldifLine('mail', address),
    folded(`userCertificate;binary:: ${certificate.der.toString('base64')}`, 76, '\n'),
  ];
  return `${lines.join('\n')}\n\n`;
}

/** RFC 2849: what does not begin safely or is not ASCII is written in base64. */
function ldifLine(name: string, value: string): string {
  const safe = /^[!-9;=-~][ -~]*$/.test(value) && !value.endsWith(' ');
  return folded(safe ? `${name}: ${value}` : `${name}:: ${Buffer.from(value).toString('base64')}`, 76, '\n');
}

/** RFC 6350 §6.8.1, §3.4 (escaping of text). */
function vcard(address: string, certificate: Certificate): string {
  const text = address.replace(/[\\,;]/g, '\\$&');
  const key = `KEY:data:application/pkix-cert;base64,${certificate.der.toString('base64')}`;
  const lines = ['BEGIN:VCARD', 'VERSION:4.0', `FN:${text}`, `EMAIL:${text}`, key, 'END:VCARD'];
  return lines.map((line) => `${folded(line, 75, '\r\n')}\r\n`).join('');
}

/** Lines of at most `width` octets; a line that goes on begins with a space. */
function folded(line: string, width: number, end: string): string {
  const parts: string[] = [];
  let part = '';
  let octets = 0;
  for (const character of line) {
    const size = Buffer.byteLength(character);
    if (octets + size > width) {
      parts.push(part);
      [part, octets] = [' ', 1];
    }
    part += character;
    octets += size;
  }
  return [...parts, part].join(end);
}
