import { literal } from './imap-conversation.ts';
import { toyEncrypted } from './toy-story.ts';

/** A mailbox of a mail server, as one session has it; others of its owner's remove messages from it, and bring some, whenever they may. */
export class NumberedMailbox {
  /** UIDs as the session numbers them. */
  readonly uids = [11, 12, 13, 14, 15, 16];
  #nextUid = 17;
  /** Those that others remove, one after the other, and how many others bring. */
  #removed: number[] = [];
  #brought = 0;
  readonly #deleted = new Set<number>();
  /** Which messages the client's commands were done to, by their tags. */
  readonly done = new Map<string, number[]>();
  isSelected = false;
  readonly #says: 'EXPUNGE' | 'VANISHED';

  /** How it says that messages have gone: by their numbers, or by their UIDs (RFC 7162 §3.2.10). */
  constructor(says: 'EXPUNGE' | 'VANISHED') {
    this.#says = says;
  }

  /** From now on others remove these, one after the other, and bring so many. */
  disturb(removed: readonly number[], brought: number): void {
    this.#removed = [...removed];
    this.#brought = brought;
  }

  /** Whether others have done all that they will. */
  get isQuiet(): boolean {
    return this.#removed.length === 0 && this.#brought === 0;
  }

  /** What the mail server says to a command, response by response; `TAG` stands for its tag. */
  *answers(tag: string, command: string): Generator<string> {
    const words = /^((?:UID )?[A-Z]+)(?: ([\s\S]*))?$/i.exec(command);
    const name = words?.[1]?.toUpperCase() ?? '';
    const argument = words?.[2] ?? '';
    const byUid = name.startsWith('UID ');
    // RFC 9051 §7.5.1, RFC 5256 §3.
    const mayRemove = this.isSelected && !/^(?:FETCH|STORE|SEARCH|SORT)$/.test(name);
    // What its numbers mean is what its client knows.
    const set = /^[0-9][0-9:,*]*/.exec(argument)?.[0] ?? '';
    const chosen = this.#chosen(set, byUid);
    const within = this.#chosen(
      /^(?:\(?RETURN \([A-Z ]*\) )?([0-9][0-9:,*]*)/.exec(argument)?.[1] ?? '1:*',
      false,
    );
    yield* this.#news(mayRemove);
    switch (byUid ? name.slice(4) : name) {
      case 'SELECT':
      case 'EXAMINE':
        this.isSelected = true;
        yield `* ${this.uids.length} EXISTS\r\n`;
        yield '* OK [UIDVALIDITY 7] v\r\n';
        yield `* OK [UIDNEXT ${this.#nextUid}] n\r\n`;
        yield '* OK [PERMANENTFLAGS (\\Seen \\*)] p\r\n';
        yield `${tag} OK [READ-WRITE] in\r\n`;
        return;
      case 'CLOSE':
      case 'UNSELECT':
        this.isSelected = false;
        yield `${tag} OK out\r\n`;
        return;
      case 'LOGOUT':
        yield '* BYE bye\r\n';
        break;
      case 'FETCH': {
        const asked = argument.slice(set.length);
        this.done.set(tag, chosen);
        for (const uid of chosen) {
          if (this.uids.includes(uid)) yield this.#fetched(uid, byUid, asked);
          yield* this.#news(mayRemove);
        }
        break;
      }
      case 'STORE': {
        const how = argument.slice(set.length);
        this.done.set(tag, chosen);
        for (const uid of chosen) {
          if (/Deleted/.test(how)) this.#deleted.add(uid);
          const at = this.uids.indexOf(uid) + 1;
          if (!/SILENT/.test(how) && at > 0) yield `* ${at} FETCH (UID ${uid} FLAGS (\\Answered))\r\n`;
          yield* this.#news(mayRemove);
        }
        break;
      }
      case 'SEARCH':
      case 'SORT': {
        const uids = /\bUID ([0-9:,*]+)/.exec(argument)?.[1] ?? '1:*';
        const found = this.#chosen(uids, true).filter((uid) => within.includes(uid));
        const numbers = found.map((uid) => (byUid ? uid : this.uids.indexOf(uid) + 1));
        yield `* ${name.endsWith('SORT') ? 'SORT' : 'SEARCH'}${numbers.map((each) => ` ${each}`).join('')}\r\n`;
        break;
      }
      case 'COPY':
      case 'MOVE': {
        this.done.set(tag, chosen);
        const here = / "?INBOX/i.test(argument);
        const copies = chosen.map((uid, at) => (here ? this.#nextUid++ : 500 + uid + at));
        const code = chosen.length === 0 ? '' : `[COPYUID 7 ${chosen.join(',')} ${copies.join(',')}] `;
        if (here) this.uids.push(...copies);
        if (name.endsWith('MOVE')) {
          if (code !== '') yield `* OK ${code}moved\r\n`;
          for (const uid of chosen) yield* this.#expunged(uid);
          if (here) yield `* ${this.uids.length} EXISTS\r\n`;
          break;
        }
        if (here) yield `* ${this.uids.length} EXISTS\r\n`;
        yield* this.#news(mayRemove);
        yield `${tag} OK ${code}copied\r\n`;
        return;
      }
      case 'EXPUNGE': {
        for (const uid of byUid ? chosen : [...this.uids]) {
          if (this.#deleted.has(uid)) yield* this.#expunged(uid);
          yield* this.#news(mayRemove);
        }
        break;
      }
      case 'APPEND': {
        const uid = /^"?INBOX/i.test(argument) ? this.#nextUid++ : 900;
        if (uid !== 900) this.uids.push(uid);
        if (uid !== 900 && this.isSelected) yield `* ${this.uids.length} EXISTS\r\n`;
        yield* this.#news(mayRemove);
        yield `${tag} OK [APPENDUID 7 ${uid}] stored\r\n`;
        return;
      }
      case 'LIST':
        yield '* LIST (\\Sent) "/" Sent\r\n';
        break;
      case 'STATUS':
        yield `* STATUS INBOX (MESSAGES ${this.uids.length})\r\n`;
        break;
      default:
        break;
    }
    yield* this.#news(mayRemove);
    yield `${tag} OK done\r\n`;
  }

  /** Between commands nobody may remove anything. */
  *between(): Generator<string> {
    yield* this.#news(false);
  }

  *#news(mayRemove: boolean): Generator<string> {
    if (!this.isSelected) return;
    if (mayRemove) {
      const uid = this.#removed.shift();
      if (uid !== undefined) yield* this.#expunged(uid);
    }
    if (this.#brought > 0) {
      this.#brought--;
      this.uids.push(this.#nextUid++);
      yield `* ${this.uids.length} EXISTS\r\n`;
    }
  }

  *#expunged(uid: number): Generator<string> {
    const at = this.uids.indexOf(uid);
    if (at === -1) return;
    this.uids.splice(at, 1);
    yield this.#says === 'EXPUNGE' ? `* ${at + 1} EXPUNGE\r\n` : `* VANISHED ${uid}\r\n`;
  }

  #chosen(set: string, byUid: boolean): number[] {
    const numbers = byUid ? this.uids : this.uids.map((_, at) => at + 1);
    const last = numbers.at(-1) ?? 0;
    return this.uids.filter((_, at) =>
      set.split(',').some((range) => {
        const [from = 0, to = from] = range.split(':').map((each) => (each === '*' ? last : Number(each)));
        const number = numbers[at] ?? 0;
        return number >= Math.min(from, to) && number <= Math.max(from, to);
      }),
    );
  }

  #fetched(uid: number, byUid: boolean, asked: string): string {
    const message = messageOf(uid);
    const header = `${message.slice(0, message.indexOf('\r\n\r\n'))}\r\n`;
    const items: string[] = [];
    if (byUid || /\bUID\b/i.test(asked)) items.push(`UID ${uid}`);
    if (/FLAGS/i.test(asked)) items.push('FLAGS (\\Seen)');
    if (/BODYSTRUCTURE/i.test(asked)) items.push(`BODYSTRUCTURE ${STRUCTURES[isEncrypted(uid) ? 1 : 0]}`);
    const fields = /HEADER\.FIELDS \(([^)]*)\)/i.exec(asked)?.[1];
    if (fields !== undefined) {
      const names = fields.toLowerCase().split(' ');
      const lines = header
        .split('\r\n')
        .filter((line) => names.includes(line.split(':')[0]?.toLowerCase() ?? ''));
      items.push(`BODY[HEADER.FIELDS (${fields})] ${literal(`${lines.join('\r\n')}\r\n\r\n`)}`);
    }
    if (/\[TEXT\]<0/i.test(asked)) {
      items.push(`BODY[TEXT]<0> ${literal(message.slice(message.indexOf('\r\n\r\n') + 4).slice(0, 4_096))}`);
    }
    const piece = /\[\](?:<([0-9]+)\.([0-9]+)>)?/.exec(asked);
    if (piece?.[1] !== undefined) {
      const octets = message.slice(Number(piece[1]), Number(piece[1]) + Number(piece[2]));
      items.push(`BODY[]<${piece[1]}> ${literal(octets)}`);
    } else if (piece !== null) items.push(`BODY[] ${literal(message)}`);
    return `* ${this.uids.indexOf(uid) + 1} FETCH (${items.join(' ')})\r\n`;
  }
}

const STRUCTURES = [
  '("text" "plain" NIL NIL NIL "7bit" 13 1)',
  '("application" "pkcs7-mime" NIL NIL NIL "base64" 99 NIL NIL NIL NIL)',
];

/** Two of three. */
function isEncrypted(uid: number): boolean {
  return uid % 3 !== 1;
}

function messageOf(uid: number): string {
  const subject = `Subject: this is <${uid}>`;
  const entity = `Content-Type: text/plain\r\n\r\nwords of <${uid}>\r\n`;
  return isEncrypted(uid) ? toyEncrypted([subject], entity).toString('latin1') : `${subject}\r\n${entity}`;
}
