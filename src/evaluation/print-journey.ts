import { createHash } from 'node:crypto';
import type { GatewayPorts, Journey } from './journey.ts';
import type { EvaluationProfile } from './profile.ts';

const LINES_SHOWN = 14;
const COLUMNS = 100;

/** The journey as a page of text: five places, the octets found there, and what an independent program says of them. */
export function printJourney(journey: Journey): string {
  const { sent, answer, wire, stored, seen, openssl } = journey;
  const untouched = stored.subarray(stored.length - wire.length).equals(wire);
  return [
    '  alice’s client ── plain ──▶ Sealgate ── signed, encrypted ──▶ mail server ──▶ bob’s mailbox',
    '  bob’s client ◀── plain, verified ── Sealgate ◀── signed, encrypted ──────────────────┘',
    '',
    heading('1', 'alice’s client wrote', sent),
    excerpt(sent),
    `   and was told: ${answer}`,
    '',
    heading('2', 'the wire carried', wire),
    excerpt(wire),
    '',
    heading('3', 'bob’s mailbox holds', stored),
    untouched
      ? '   the wire’s octets, unchanged, below the trace fields that delivery added'
      : '   something else than the wire carried: this should not be',
    `   SHA-256 ${createHash('sha256').update(stored).digest('hex')}`,
    '',
    heading('4', 'bob’s client sees', seen),
    excerpt(seen, 36),
    seen.length === stored.length
      ? '   as many octets as the mailbox holds: every size a client was told stays true'
      : '',
    '',
    `5  openssl cms says of what the wire carried (${openssl.recipients} recipients: bob, and alice for her own copy)`,
    `   openssl cms -decrypt | openssl cms -verify:  ${openssl.verification}`,
    '',
  ].join('\n');
}

/** What to type into a mail client, for as long as the profile runs. */
export function printSettings(
  { alice, bob, pki, configFile }: EvaluationProfile,
  ports: GatewayPorts,
): string {
  const account = ({ login, password }: EvaluationProfile['alice']) =>
    `   ${login.padEnd(20)} password ${password}`;
  return [
    'Try it with your own mail client',
    `   outgoing (SMTP)   localhost, port ${ports.submission}, STARTTLS`,
    `   incoming (IMAP)   localhost, port ${ports.imap}, SSL/TLS`,
    `   or (POP3)         localhost, port ${ports.pop3}, SSL/TLS`,
    account(alice),
    account(bob),
    `   The certificates are throwaway ones; your client may ask. Their authority: ${pki.ca.certificateFile}`,
    `   The configuration that runs: ${configFile}`,
    '',
    'Ctrl-C stops everything and removes it.',
    '',
  ].join('\n');
}

function heading(number: string, title: string, octets: Buffer): string {
  return `${number}  ${title} (${octets.length.toLocaleString('en-US')} octets)`;
}

/** The first lines, with a count of the rest; padding of the view counts as one line. */
function excerpt(octets: Buffer, lines = LINES_SHOWN): string {
  const all = octets.toString('utf8').replace(/\r\n$/, '').split('\r\n');
  const shown = all.filter((line) => !/^ {20,}$/.test(line));
  const cut = shown.slice(0, lines).map((line) => `   │ ${printable(line)}`);
  if (shown.length > lines) cut.push(`   │ … ${shown.length - lines} more lines`);
  if (all.length > shown.length)
    cut.push(`   │ (${all.length - shown.length} lines of padding, which no client shows)`);
  return cut.join('\n');
}

function printable(line: string): string {
  const safe = line.replace(/[\p{Cc}\p{Cf}]/gu, '·');
  return safe.length > COLUMNS ? `${safe.slice(0, COLUMNS - 1)}…` : safe;
}
