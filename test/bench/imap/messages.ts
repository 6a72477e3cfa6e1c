import { X509Certificate } from 'node:crypto';
import { parseCertificate } from '../../../src/pki/certificate.ts';
import { encryptMessage } from '../../../src/smime/encrypt.ts';

/** Messages as mail servers keep them, the same in every run: number `n` of a mailbox. Octets are those of the whole message. */

export const READER = 'reader@sealgate.test';

export function plainMessage(n: number, octets: number): Buffer {
  const header = Buffer.from(
    [
      `Return-Path: <writer${n % 97}@example.test>`,
      `Delivered-To: ${READER}`,
      `Received: from mx${n % 5}.example.test (mx${n % 5}.example.test [192.0.2.${n % 250}])`,
      `\tby mail.sealgate.test (Postfix) with ESMTPS id 4X${hex(n)}`,
      `\tfor <${READER}>; ${date(n)}`,
      ...readable(n),
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=utf-8; format=flowed',
      'Content-Transfer-Encoding: 7bit',
      'Content-Language: en-US',
      '',
      '',
    ].join('\r\n'),
  );
  return Buffer.concat([header, filling(octets - header.length)]);
}

/** Encrypted with AES-256-CBC to one RSA-2048 key. `octets`: of the content before. */
export function encryptedMessage(n: number, octets: number, certificate: string): Promise<Buffer> {
  const inner = Buffer.from(
    [...readable(n), 'MIME-Version: 1.0', 'Content-Type: text/plain; charset=utf-8', '', ''].join('\r\n'),
  );
  const recipient = { certificate: parseCertificate(new X509Certificate(certificate).raw) };
  const whole = Buffer.concat([inner, filling(octets - inner.length)]);
  return encryptMessage(whole, [recipient], 'aes256-cbc');
}

/** The header fields of a conversation. */
function readable(n: number): string[] {
  return [
    `Message-ID: <${hex(n)}.${hex(n * 7)}@example.test>`,
    `Date: ${date(n)}`,
    'User-Agent: Mozilla Thunderbird',
    `Subject: Re: Figures for week ${n % 53}, and number ${n} of what else there is`,
    `To: Reader <${READER}>`,
    `References: <${hex(n - 1)}.${hex(n * 7 - 7)}@example.test>`,
    `In-Reply-To: <${hex(n - 1)}.${hex(n * 7 - 7)}@example.test>`,
    `From: "Writer, Number ${n % 97}" <writer${n % 97}@example.test>`,
  ];
}

function date(n: number): string {
  const at = new Date(Date.UTC(2024, 0, 1) + n * 61_000);
  return at.toUTCString().replace('GMT', '+0000');
}

function hex(n: number): string {
  return (Math.abs(n) * 2_654_435_761).toString(16).padStart(12, '0');
}

const LINE = Buffer.from('The quick brown fox jumps over the lazy dog and then goes home to sleep\r\n');

/** Whole lines, at least one. */
function filling(octets: number): Buffer {
  const lines = Math.max(1, Math.floor(octets / LINE.length));
  return Buffer.alloc(lines * LINE.length, LINE);
}
