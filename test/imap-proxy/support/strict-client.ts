import type { Socket } from 'node:net';

type Command = {
  tag: string;
  name: string;
  text: string;
  /** UIDs that it is about, as its client has them; null: of others, too. */
  meant: readonly (number | null)[] | null;
  answered: boolean;
};

/** During these no message may go (RFC 9051 §7.5.1, RFC 5256 §3). */
const KEEPS_NUMBERS = /^(?:FETCH|STORE|SEARCH|SORT)$/;

/**
 * A client that keeps the mailbox by its message numbers, and believes whatever it is told: a message that it takes for another one it
 * would delete for another one.
 */
export class StrictClient {
  readonly #socket: Socket;
  #received = '';
  #wake: () => void = () => undefined;
  #hasEnded = false;
  /** UIDs by number; null: it was not told yet. */
  idea: (number | null)[] = [];
  readonly #commands: Command[] = [];
  /** What no mail server may say. */
  readonly wrong: string[] = [];
  heard = '';
  readonly #entered = new Set<Command>();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      for (let next = this.#whole(); next !== null; next = this.#whole()) this.#hear(next);
      this.#wake();
    });
    const ended = (): void => {
      this.#hasEnded = true;
      this.#wake();
    };
    socket.on('close', ended);
    socket.on('error', ended);
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** The number of a message that it knows of; 0: it does not. */
  number(uid: number): number {
    return this.idea.indexOf(uid) + 1;
  }

  say(octets: string): void {
    for (const line of octets.split('\r\n')) {
      const [, tag, name] = /^([a-z][0-9]*) ((?:UID )?[A-Z]+)/.exec(line) ?? [];
      if (tag === undefined || name === undefined) continue;
      this.#commands.push({ tag, name, text: line, meant: this.#meant(name, line), answered: false });
    }
    this.heard += `C: ${octets}`;
    this.#socket.write(octets, 'latin1');
  }

  isAnswered(tag: string): boolean {
    return this.#commands.some((each) => each.tag === tag && each.answered);
  }

  /** Resolves when it has heard more. */
  async until(is: () => boolean): Promise<void> {
    while (!is()) {
      if (this.#hasEnded) throw new Error('it has ended');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** How often it was told to go on. */
  get asked(): number {
    return this.heard.split('S: + ').length - 1;
  }

  #whole(): string | null {
    let end = 0;
    for (;;) {
      const line = this.#received.indexOf('\r\n', end);
      if (line === -1) return null;
      const size = /\{([0-9]+)\}$/.exec(this.#received.slice(end, line))?.[1];
      end = line + 2;
      if (size === undefined) break;
      end += Number(size);
      if (this.#received.length < end) return null;
    }
    const whole = this.#received.slice(0, end);
    this.#received = this.#received.slice(end);
    return whole;
  }

  #hear(response: string): void {
    this.heard += `S: ${response}`;
    const tagged = /^([a-z][0-9]*) (OK|NO|BAD)/.exec(response);
    if (tagged !== null) this.#answer(tagged[1] ?? '', tagged[2] ?? '', response);
    const numbered = /^\* ([0-9]+) (EXISTS|EXPUNGE|FETCH)([\s\S]*)$/.exec(response);
    if (numbered !== null) this.#numbered(Number(numbered[1]), numbered[2] ?? '', numbered[3] ?? '');
    const vanished = /^\* VANISHED ([0-9]+)\r\n$/.exec(response)?.[1];
    if (vanished !== undefined) this.#gone(this.number(Number(vanished)));
    const found = /^\* (?:SEARCH|SORT)((?: [0-9]+)*)\r\n$/.exec(response);
    if (found !== null) this.#found((found[1] ?? '').split(' ').slice(1).map(Number));
  }

  #answer(tag: string, status: string, response: string): void {
    const command = this.#commands.find((each) => each.tag === tag && !each.answered);
    if (command === undefined) {
      this.wrong.push(`an answer to nothing: ${response}`);
      return;
    }
    command.answered = true;
    if (status === 'BAD') this.wrong.push(`BAD: ${response}`);
    if (/^(?:CLOSE|UNSELECT)$/.test(command.name)) this.idea = [];
  }

  #numbered(number: number, what: string, rest: string): void {
    switch (what) {
      case 'EXISTS':
        if (this.#entersAnew()) this.idea = [];
        if (number < this.idea.length) this.wrong.push(`${number} EXISTS of ${this.idea.length}`);
        while (this.idea.length < number) this.idea.push(null);
        return;
      case 'EXPUNGE':
        this.#gone(number);
        return;
      default:
        this.#fetched(number, rest);
    }
  }

  #gone(number: number): void {
    // One that came and went before anybody has said which it is.
    const at = number === 0 ? this.idea.indexOf(null) : number - 1;
    if (at < 0 || at >= this.idea.length) this.wrong.push(`${number} is gone, of ${this.idea.length}`);
    this.idea.splice(at, 1);
    const during = this.#commands.filter((each) => !each.answered);
    const keeping = during.find(({ name }) => KEEPS_NUMBERS.test(name));
    if (during.length === 0) this.wrong.push('messages go while no command is in progress');
    if (keeping !== undefined) this.wrong.push(`messages go during ${keeping.text}`);
  }

  #fetched(number: number, rest: string): void {
    if (number > this.idea.length) {
      this.wrong.push(`${number} FETCH of ${this.idea.length}`);
      return;
    }
    const said = [...rest.matchAll(/[ (]UID ([0-9]+)|<([0-9]+)>\r\n/g)].map((each) =>
      Number(each[1] ?? each[2]),
    );
    for (const uid of said) {
      const known = this.idea[number - 1] ?? null;
      if (known !== null && known !== uid) this.wrong.push(`${number} is ${uid}, and was ${known}`);
      this.idea[number - 1] = uid;
    }
  }

  #found(numbers: number[]): void {
    const command = this.#commands.find((each) => !each.answered && /SEARCH|SORT/.test(each.name));
    if (command === undefined || command.meant === null) return;
    for (const number of numbers) {
      const uid = command.name.startsWith('UID ') ? number : (this.idea[number - 1] ?? null);
      if (uid !== null && !command.meant.includes(uid)) this.wrong.push(`found ${number}, which is ${uid}`);
    }
  }

  #meant(name: string, text: string): Command['meant'] {
    const [, , uids, numbers] =
      /^([a-z][0-9]*) (?:UID )?[A-Z]+ [\s\S]*?(?:UID ([0-9]+:[0-9]+)|(?<= )([0-9]+(?::[0-9]+)?))/.exec(
        text,
      ) ?? [];
    if (text.includes('1:*')) return null;
    const [from = 0, to = from] = (uids ?? numbers ?? '').split(':').map(Number);
    if (from === 0) return null;
    if (uids !== undefined || (name.startsWith('UID ') && name !== 'UID SEARCH'))
      return Array.from({ length: to - from + 1 }, (_, at) => from + at);
    return this.idea.slice(from - 1, to);
  }

  /** Of messages that a command with that tag is about; null: it is about none. */
  meant(tag: string): Command['meant'] {
    return this.#commands.find((each) => each.tag === tag)?.meant ?? null;
  }

  /** The first that is said of a mailbox that is being selected. */
  #entersAnew(): boolean {
    const first = this.#commands.find((each) => !each.answered);
    if (first?.name !== 'SELECT' || this.#entered.has(first)) return false;
    this.#entered.add(first);
    return true;
  }
}
