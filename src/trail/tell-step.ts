import { printable } from '../log/printable.ts';
import type { MailEvent } from './trail.ts';

/** What happened to a mail, as a sentence for people. Texts of strangers (replies, reasons) are made printable. */
export function tellStep(event: MailEvent): string {
  switch (event.event) {
    case 'mail.taken': {
      const { principal, listener, from, to, recipients, octets } = event;
      const who = from === '' ? 'nobody (a report)' : from;
      return shown(
        `taken from ${principal === '' ? 'another server' : principal} by ${listener}: ${who} to ${to}${more(to, recipients)}, ${octets} octets`,
      );
    }
    case 'key.used': {
      const how = event.code === null ? 'was used' : `could not be used (${event.code})`;
      return shown(`the key ${event.key} of ${event.principal} ${how}`);
    }
    case 'mail.protected': {
      const { signed, encrypted, opened, rule, octets } = event;
      if (opened === true) return shown(`readable for ${people(event)}: ${octets} octets`);
      const by = rule === null ? '' : ` by rule ${rule}`;
      return shown(`${protection(signed, encrypted)} for ${people(event)}${by}: ${octets} octets`);
    }
    case 'mail.opened': {
      const { principal, verdict } = event;
      return shown(`opened${principal === '' ? '' : ` with a key of ${principal}`}: ${verdict}`);
    }
    case 'mail.handed-over':
      return shown(`taken by the mail server for ${people(event)}: ${event.reply}`);
    case 'mail.refused':
      return shown(`refused (${event.code}): ${event.reason}`);
    case 'smtp.refused':
      return shown(`the client was told ${event.code}: ${event.reason}`);
    case 'queue.enqueued':
      return shown(`put into the queue for ${people(event)} (${event.purpose}) as ${event.delivery}`);
    case 'queue.delivered': {
      const by = event.by === undefined ? '' : ` by ${event.by}`;
      return shown(`delivered from the queue to ${people(event)}${by}: ${event.reply}`);
    }
    case 'queue.delayed':
      return shown(`waits in the queue for ${people(event)} until ${event.again}: ${event.reason}`);
    case 'queue.failed': {
      const told = event.reported ? 'the sender is told by mail' : 'nobody is told';
      return shown(`failed for ${people(event)}, ${told}: ${event.reason}`);
    }
    case 'held.kept':
      return shown(`waits for a certificate of ${people(event)}, until ${event.until} (rule ${event.rule})`);
    case 'held.settled':
      return shown(`${event.state} for ${people(event)}, by ${event.by}: ${event.because}`);
    case 'archive.stored':
      return shown(`copied into the archive ${event.archive}`);
    default: {
      const { event: name, level: _, mail: __, ...fields } = event;
      const words = Object.entries(fields).map(([key, value]) => `${key} ${String(value)}`);
      return shown([name, ...words].join(', '));
    }
  }
}

function shown(text: string): string {
  return printable(text);
}

function protection(signed: boolean, encrypted: boolean): string {
  if (signed && encrypted) return 'signed and encrypted';
  if (encrypted) return 'encrypted';
  return signed ? 'signed' : 'as it came';
}

/** By name where that is said: `held.kept` and the like say how many. */
function people({ recipients, to = '' }: { recipients: number; to?: string }): string {
  if (to !== '') return `${to}${more(to, recipients)}`;
  return recipients === 1 ? 'one recipient' : `${recipients} recipients`;
}

function more(named: string, recipients: number): string {
  const left = recipients - (named === '' ? 0 : named.split(', ').length);
  return left > 0 ? ` and ${left} more` : '';
}
