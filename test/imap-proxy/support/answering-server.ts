import type { ImapConversation } from './imap-conversation.ts';
import { literal } from './imap-conversation.ts';
import { toyEncrypted } from './toy-story.ts';

/** What a mail server says to a command, `TAG` standing for its tag; null: what it says by itself. */
export type Answering = (command: string) => string | null;

const ENTITY = 'Content-Type: text/plain\r\n\r\nsealed words\r\n';
const MESSAGES: readonly string[] = [
  'Subject: plain\r\nContent-Type: text/plain\r\n\r\nplain words\r\n',
  toyEncrypted(['Subject: one'], ENTITY).toString('latin1'),
  toyEncrypted(['Subject: two'], ENTITY).toString('latin1'),
];
const STRUCTURES = [
  '("text" "plain" NIL NIL NIL "7bit" 13 1)',
  '("application" "pkcs7-mime" NIL NIL NIL "base64" 99 NIL NIL NIL NIL)',
];

/**
 * A mail server with one mailbox of three messages, the last two of them encrypted, that answers whatever it is told, one step after
 * another: its greeting, each continuation request and each answer is one.
 */
export class AnsweringServer {
  readonly #conversation: ImapConversation;
  readonly #capabilities: string;
  readonly #otherwise: Answering;
  /** Says a step; false: it is the last one. */
  readonly #say: (text: string) => Promise<boolean>;
  /** Everything that was heard, the gateway's own tags alike. */
  heard = '';

  constructor(
    conversation: ImapConversation,
    capabilities: string,
    otherwise: Answering,
    say: (text: string) => Promise<boolean>,
  ) {
    this.#conversation = conversation;
    this.#capabilities = capabilities;
    this.#otherwise = otherwise;
    this.#say = say;
  }

  /** Until the connection ends, or `say` wants no more. */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch {
      // It has ended.
    }
  }

  async #run(): Promise<void> {
    if (!(await this.#say(`* OK [CAPABILITY ${this.#capabilities}] hello\r\n`))) return;
    let idle = '';
    for (;;) {
      const command = await this.#command();
      if (command === null) return;
      this.heard += `${command.replace(/^S[0-9a-f]{10}[0-9]+/, 'S')}\n`;
      if (command === 'DONE') {
        if (!(await this.#say(`${idle} OK idled\r\n`))) return;
        continue;
      }
      const [tag = ''] = command.split(' ');
      const rest = command.slice(tag.length + 1);
      if (/^IDLE$/i.test(rest)) {
        idle = tag;
        if (!(await this.#say('+ idling\r\n'))) return;
        continue;
      }
      const answer = (this.#otherwise(rest) ?? usual(rest)).replaceAll('TAG', tag);
      if (!(await this.#say(answer))) return;
    }
  }

  /** With its literals; null: no more is answered. */
  async #command(): Promise<string | null> {
    let whole = '';
    for (;;) {
      const line = (await this.#conversation.until(/\r\n/)).slice(0, -2);
      whole += line;
      const announced = /\{([0-9]+)(\+?)\}$/.exec(line);
      const asksForMore = /^[^ ]+ AUTHENTICATE [^ ]+$/.test(line);
      if (announced === null && !asksForMore) return whole;
      if (announced?.[2] !== '+' && !(await this.#say('+ go on\r\n'))) return null;
      if (announced === null) return `${whole} ${(await this.#conversation.until(/\r\n/)).slice(0, -2)}`;
      const size = Number(announced[1]);
      whole += `\r\n${size === 0 ? '' : await this.#conversation.until(new RegExp(`^[^]{${size}}`))}`;
    }
  }
}

function usual(command: string): string {
  const name = /^(?:UID )?[A-Z]+/i.exec(command)?.[0].toUpperCase() ?? '';
  switch (name) {
    case 'SELECT':
    case 'EXAMINE':
      return '* 3 EXISTS\r\n* OK [UIDVALIDITY 7] v\r\n* OK [UIDNEXT 4] n\r\n* OK [PERMANENTFLAGS (\\Seen \\*)] p\r\nTAG OK [READ-WRITE] in\r\n';
    case 'SEARCH':
    case 'UID SEARCH':
      return `* SEARCH ${numbers(/(?:UID )([0-9:,*]+)/.exec(command)?.[1] ?? '1:*').join(' ')}\r\nTAG OK\r\n`;
    case 'SORT':
    case 'UID SORT':
      return '* SORT 3 1 2\r\nTAG OK\r\n';
    case 'FETCH':
    case 'UID FETCH':
      return `${fetched(command)}TAG OK fetched\r\n`;
    case 'LIST':
      return '* LIST (\\Sent) "/" Sent\r\nTAG OK\r\n';
    case 'STATUS':
      return '* STATUS INBOX (MESSAGES 3 UIDVALIDITY 7)\r\nTAG OK\r\n';
    case 'UID MOVE':
      return '* OK [COPYUID 7 3 4] moved\r\n* 3 EXPUNGE\r\n* 3 EXISTS\r\nTAG OK\r\n';
    case 'UID COPY':
      return 'TAG OK [COPYUID 7 3 4] copied\r\n';
    case 'COMPRESS':
      return 'TAG NO not now\r\n';
    case 'LOGOUT':
      return '* BYE bye\r\nTAG OK\r\n';
    default:
      return 'TAG OK done\r\n';
  }
}

function numbers(set: string): number[] {
  return [1, 2, 3].filter((number) =>
    set.split(',').some((range) => {
      const [from = 0, to = from] = range.split(':').map((each) => (each === '*' ? 3 : Number(each)));
      return number >= Math.min(from, to) && number <= Math.max(from, to);
    }),
  );
}

function fetched(command: string): string {
  const byUid = /^UID /i.test(command);
  const [, set = '', asked = ''] = /FETCH ([0-9:,*]+) (.*)$/is.exec(command) ?? [];
  return numbers(set)
    .map((number) => {
      const message = MESSAGES[number - 1] ?? '';
      const header = `${message.slice(0, message.indexOf('\r\n\r\n'))}\r\n`;
      const items: string[] = [];
      if (byUid || /\bUID\b/i.test(asked)) items.push(`UID ${number}`);
      if (/FLAGS/i.test(asked)) items.push('FLAGS (\\Seen)');
      if (/BODYSTRUCTURE/i.test(asked)) items.push(`BODYSTRUCTURE ${STRUCTURES[number === 1 ? 0 : 1]}`);
      const fields = /HEADER\.FIELDS \(([^)]*)\)/i.exec(asked)?.[1];
      if (fields !== undefined) {
        const names = fields.toLowerCase().split(' ');
        const lines = header
          .split('\r\n')
          .filter((line) => names.includes(line.split(':')[0]?.toLowerCase() ?? ''));
        items.push(`BODY[HEADER.FIELDS (${fields})] ${literal(`${lines.join('\r\n')}\r\n\r\n`)}`);
      }
      if (/\[TEXT\]<0/i.test(asked)) {
        const text = message.slice(message.indexOf('\r\n\r\n') + 4);
        items.push(`BODY[TEXT]<0> ${literal(text.slice(0, 4_096))}`);
      }
      const piece = /\[\](?:<([0-9]+)\.([0-9]+)>)?/.exec(asked);
      if (piece?.[1] !== undefined) {
        const octets = message.slice(Number(piece[1]), Number(piece[1]) + Number(piece[2]));
        items.push(`BODY[]<${piece[1]}> ${literal(octets)}`);
      } else if (piece !== null) items.push(`BODY[] ${literal(message)}`);
      return `* ${number} FETCH (${items.join(' ')})\r\n`;
    })
    .join('');
}
