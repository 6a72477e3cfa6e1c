import { SENDER } from './outbound.ts';

/** Two mails of 10 KB, as mail programs write them. */

const OCTETS = 10_240;

const HEADER = [
  'Message-ID: <5d0c7a3e-2a3d-4c53-9d2c-5a9d7a0f3a11@sealgate.test>',
  'Date: Sun, 22 Nov 2026 09:00:00 +0100',
  'MIME-Version: 1.0',
  'User-Agent: Mozilla Thunderbird',
  'Content-Language: en-US',
  'To: Sink <sink@sealgate.test>',
  `From: "Load, Sender" <${SENDER}>`,
  'Subject: Figures for the week',
];

/** Nothing in it has to be encoded. */
export const PLAIN = mail(
  ['Content-Type: text/plain; charset=us-ascii', 'Content-Transfer-Encoding: 7bit'],
  'The quick brown fox jumps over the lazy dog and then goes home to sleep',
);

/** Has to become quoted-printable before it is signed: 8bit, and blanks at the ends of flowed lines (RFC 3676 §4.1). */
export const FLOWED = mail(
  ['Content-Type: text/plain; charset=UTF-8; format=flowed', 'Content-Transfer-Encoding: 8bit'],
  'Der schnelle Fuchs springt über den faulen Hund, und dann geht er heim ',
);

function mail(contentHeader: readonly string[], line: string): Buffer {
  const header = Buffer.from(`${[...HEADER, ...contentHeader].join('\r\n')}\r\n\r\n`);
  const octets = Buffer.from(`${line}\r\n`);
  const lines = Math.floor((OCTETS - header.length) / octets.length);
  return Buffer.concat([header, ...Array<Buffer>(lines).fill(octets)]);
}
