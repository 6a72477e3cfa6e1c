import { limits } from '../limits.ts';
import { hazardsIn } from '../mail/canonical.ts';
import { encodeQuotedPrintable } from '../mail/quoted-printable.ts';
import { messageHeader, textPart } from '../mail/text-message.ts';
import { newBoundary } from '../smime/boundary.ts';
import type { Mailbox } from '../smtp/envelope.ts';
import { parameterValue } from '../smtp/parameters.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Delivery } from './delivery-rows.ts';
import type { ReportAction, Settlement } from './settle.ts';

/**
 * What became of a mail, for its sender: a delivery status notification (RFC 3464) in a multipart/report (RFC 6522).
 *
 * It is not signed: what programs act on is a report at the root of the message.
 */
export type DeliveryReport = {
  action: ReportAction;
  delivery: Pick<Delivery, 'mail' | 'purpose' | 'mailParameters' | 'requireTls' | 'enqueuedAt' | 'expiresAt'>;
  recipients: readonly Settlement[];
  /** The mail; null: it cannot be read any more. */
  original: Buffer | null;
  from: string;
  to: Mailbox;
  /** Of this gateway: the reporting MTA. */
  hostname: string;
  /** That said what is cited. */
  server: string;
  messageId: string;
  now: Date;
};

/** The whole message, CRLF. */
export function deliveryReport(report: DeliveryReport): Buffer {
  const { from, to, now, messageId, action } = report;
  // Whoever can be reached at such an address has mail servers that take 8-bit. For everybody else the report is ASCII: it must not fail
  // for what the mail was called, or for what a server said of it.
  const wide = isWide(to);
  const boundary = newBoundary();
  const returned = returnedPart(report, wide);
  const parts = [
    textPart(explanation(report)),
    statusPart(report, wide),
    ...(returned === null ? [] : [returned]),
  ];
  const eightBit = parts.some((part) => hazardsIn(part).eightBit);
  const header = [
    ...messageHeader({
      ...{ from, name: 'Mail Delivery System', to: [addressOf(to)], subject: SUBJECTS[action] },
      ...{ date: now, messageId, autoSubmitted: 'auto-replied' },
    }),
    'MIME-Version: 1.0',
    `Content-Type: multipart/report; report-type=${wide ? 'global-' : ''}delivery-status;`,
    ` boundary="${boundary}"`,
    ...(eightBit ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    '',
  ].join('\r\n');
  const delimiter = Buffer.from(`--${boundary}\r\n`);
  return Buffer.concat([
    Buffer.from(header),
    ...parts.flatMap((part) => [delimiter, part, Buffer.from('\r\n')]),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
}

const SUBJECTS: Readonly<Record<ReportAction, string>> = {
  failed: 'Your mail could not be delivered',
  delayed: 'Your mail has not been delivered yet',
  relayed: 'Your mail was handed on',
};

function explanation({ action, delivery, recipients }: DeliveryReport): string[] {
  const what = delivery.purpose === 'introduction' ? 'note that asks for a certificate' : 'mail';
  const at = delivery.enqueuedAt.toUTCString();
  return [
    ...{
      failed: [`Your ${what}, which was to leave at ${at}, could not be delivered to:`],
      delayed: [
        `Your ${what}, which was to leave at ${at}, has not been delivered yet to those below.`,
        `You need not do anything: it is tried again until ${delivery.expiresAt.toUTCString()}.`,
      ],
      relayed: [
        `Your ${what} was handed to a mail server that confirms no delivery. You will hear no more of it, for:`,
      ],
    }[action],
    '',
    ...recipients.flatMap((one) => [`  ${addressOf(one.waiting.recipient.mailbox)}`, `    ${reasonOf(one)}`]),
    '',
    `Mail id: ${delivery.mail}`,
  ];
}

function reasonOf({ outcome, expired, reason }: Settlement): string {
  if (reason !== undefined) return reason;
  if (outcome.kind === 'delivered') return 'it was taken';
  return expired ? `it was tried for too long; at last, ${outcome.because}` : outcome.because;
}

/** RFC 3464 §2; RFC 6533 §3 for addresses beyond ASCII, and for the whole part where `wide`. */
function statusPart(report: DeliveryReport, wide: boolean): Buffer {
  const { delivery, recipients, hostname, now } = report;
  const envid = parameterValue(delivery.mailParameters, 'ENVID');
  const lines = [
    `Content-Type: message/${wide ? 'global-' : ''}delivery-status`,
    ...(wide ? ['Content-Transfer-Encoding: 8bit'] : []),
    '',
    ...(envid === null ? [] : [`Original-Envelope-Id: ${fromXtext(envid)}`]),
    `Reporting-MTA: dns; ${hostname}`,
    `Arrival-Date: ${dateText(delivery.enqueuedAt)}`,
  ];
  for (const one of recipients) {
    const { mailbox, parameters } = one.waiting.recipient;
    const orcpt = parameterValue(parameters, 'ORCPT');
    const reply = one.outcome.reply;
    lines.push(
      '',
      ...(orcpt === null ? [] : [`Original-Recipient: ${originalRecipient(orcpt, wide)}`]),
      `Final-Recipient: ${finalRecipient(mailbox, wide)}`,
      `Action: ${report.action}`,
      `Status: ${statusOf(report.action, one)}`,
      ...(reply === null
        ? []
        : [`Remote-MTA: dns; ${serverOf(one, report)}`, `Diagnostic-Code: smtp; ${diagnosis(reply, wide)}`]),
      `Last-Attempt-Date: ${dateText(now)}`,
      ...(report.action === 'delayed' ? [`Will-Retry-Until: ${dateText(delivery.expiresAt)}`] : []),
    );
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n`);
}

/** RFC 3463: the server's own, where it has one of the right class. */
function statusOf(action: ReportAction, { outcome, expired }: Settlement): string {
  // §3.5: delivery time expired.
  if (expired) return '5.4.7';
  const wanted = { failed: '5', delayed: '4', relayed: '2' }[action];
  const said = /^([245])\.\d{1,3}\.\d{1,3}(?= |$)/.exec(outcome.reply?.lines[0] ?? '');
  if (said !== null && said[1] === wanted) return said[0];
  const own = outcome.kind === 'delivered' ? undefined : outcome.status;
  return own?.startsWith(`${wanted}.`) === true ? own : `${wanted}.0.0`;
}

function serverOf({ outcome }: Settlement, { server }: DeliveryReport): string {
  return outcome.kind === 'delivered' ? server : (outcome.server ?? server);
}

function diagnosis({ code, lines }: Reply, wide: boolean): string {
  return lines
    .slice(0, 20)
    .map((line, i) => `${i === 0 ? `${code} ` : ' '}${printable(line)}`)
    .map((line) => (wide ? line : line.replace(/[^\x20-\x7e]/gu, '?')))
    .join('\r\n');
}

/**
 * RFC 3461 §4.3: the whole mail where it failed and RET says so, else its header. RFC 8689 §5: of what must leave by TLS only, never more than
 * the header comes back. A mail so large that the report might be refused for it, or one that is 8-bit where the report must not be, does not
 * come back whole either.
 *
 * Must never happen: something of a mail that the gateway has opened goes to whoever has sent it: that may be anybody who has come by what was
 * encrypted to somebody else.
 */
function returnedPart({ action, delivery, original }: DeliveryReport, wide: boolean): Buffer | null {
  if (original === null || delivery.purpose === 'opened') return null;
  const whole =
    action === 'failed' &&
    parameterValue(delivery.mailParameters, 'RET')?.toUpperCase() === 'FULL' &&
    delivery.requireTls === 'no' &&
    original.length <= limits.queue.returnedOctets &&
    (wide || !hazardsIn(original).eightBit);
  const end = original.indexOf('\r\n\r\n');
  const octets = whole ? original : original.subarray(0, end === -1 ? original.length : end + 2);
  const { eightBit } = hazardsIn(octets);
  const type = whole ? 'message/rfc822' : 'text/rfc822-headers';
  const global = whole ? 'message/global' : 'message/global-headers';
  // RFC 6522 §4: a header that is not 7-bit may be encoded.
  const encoding = wide ? '8bit' : 'quoted-printable';
  const header = [
    `Content-Type: ${wide && eightBit ? global : type}`,
    ...(eightBit ? [`Content-Transfer-Encoding: ${encoding}`] : []),
    '',
    '',
  ].join('\r\n');
  return Buffer.concat([
    Buffer.from(header),
    eightBit && !wide ? encodeQuotedPrintable(octets, 'text') : octets,
  ]);
}

/** RFC 3464 §2.3.2. */
function finalRecipient(mailbox: Mailbox, wide: boolean): string {
  const address = addressOf(mailbox);
  if (!isWide(mailbox)) return `rfc822; ${address}`;
  return `utf-8; ${wide ? address : embedded(address, /[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]/gu)}`;
}

/** RFC 6533 §3, utf-8-addr-xtext: each character that matches by its number. */
function embedded(text: string, which: RegExp): string {
  return text.replace(which, (character) => `\\x{${character.codePointAt(0)?.toString(16).toUpperCase()}}`);
}

/** RFC 3461 §4.2: `type ";" xtext`; for utf-8 (RFC 6533 §3) as it stands, where the report may be 8-bit. */
function originalRecipient(orcpt: string, wide: boolean): string {
  const at = orcpt.indexOf(';');
  const type = orcpt.slice(0, at);
  const value = orcpt.slice(at + 1);
  if (type.toLowerCase() !== 'utf-8') return `${type}; ${fromXtext(value)}`;
  return `${type}; ${wide ? printable(value) : embedded(value, /[^\x21-\x7e]/gu)}`;
}

/** RFC 3461 §4. What would not be one line stays coded. */
function fromXtext(text: string): string {
  const plain = text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return /^[\x20-\x7e]*$/.test(plain) ? plain : text;
}

function printable(line: string): string {
  return line.replace(/\p{Cc}+/gu, ' ').slice(0, 900);
}

function dateText(date: Date): string {
  return date.toUTCString().replace('GMT', '+0000');
}

function addressOf({ localPart, domain }: Mailbox): string {
  return domain === '' ? localPart : `${localPart}@${domain}`;
}

function isWide({ localPart, domain }: Mailbox): boolean {
  return /[^\x00-\x7f]/.test(localPart + domain);
}
