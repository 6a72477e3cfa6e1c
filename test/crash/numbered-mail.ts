import { createHash } from 'node:crypto';

/** Mails that can be told from each other, and from what somebody has made of them: everything in one follows from its number. */

export const SENDER = 'load@sealgate.test';
/** Gets mail signed. */
export const READABLE = 'readable@partner.example';
/** Gets mail signed and encrypted. */
export const SECRET = 'secret@partner.example';

/** Every fifth is for one who is encrypted to, every seventh for both: then it leaves as two messages. */
export function recipientsOf(number: number): readonly string[] {
  if (number % 7 === 0) return [READABLE, SECRET];
  return number % 5 === 0 ? [SECRET] : [READABLE];
}

/** CRLF, no line begins with a dot. */
export function mailOf(number: number): string {
  const header = [
    `From: ${SENDER}`,
    `To: ${recipientsOf(number).join(', ')}`,
    `Subject: mail ${number}`,
    `Message-ID: <${number}@sealgate.test>`,
    'Date: Sun, 1 Mar 2026 12:00:00 +0000',
  ];
  return `${header.join('\r\n')}\r\n\r\n${textOf(number)}`;
}

/** Between two marks, so that whatever was added around it does not matter: 1 to 9 KB. */
export function textOf(number: number): string {
  const lines = Array.from({ length: 16 + (number % 13) * 8 }, (_, line) =>
    createHash('sha256').update(`${number} ${line}`).digest('hex'),
  );
  return [`begin ${number}`, ...lines, `end ${number}`, ''].join('\r\n');
}

/** The number of a mail whose text is whole; null: it is not. */
export function numberOf(text: string): number | null {
  const number = Number(/^begin (\d+)\r?$/m.exec(text)?.[1] ?? Number.NaN);
  if (Number.isNaN(number)) return null;
  return text.replaceAll('\r\n', '\n').includes(textOf(number).replaceAll('\r\n', '\n')) ? number : null;
}
