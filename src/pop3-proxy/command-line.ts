/**
 * A command of a client (RFC 1939 §3, RFC 2449 §4, RFC 5034 §4). What goes to the mail server is written anew from this, so
 * nothing that is not understood here ever reaches it.
 */
export type ClientCommand =
  | { verb: 'CAPA' | 'NOOP' | 'QUIT' | 'RSET' | 'STAT' | 'STLS' }
  /** null: of all messages. */
  | { verb: 'LIST' | 'UIDL'; message: number | null }
  | { verb: 'DELE' | 'RETR'; message: number }
  | { verb: 'TOP'; message: number; lines: number }
  /** Everything behind the one blank: names and passwords may have blanks of their own. */
  | { verb: 'PASS'; argument: Buffer }
  | { verb: 'USER'; argument: Buffer }
  /** Without a mechanism the client asks which there are, as some did before CAPA. */
  | { verb: 'AUTH'; mechanism: string | null; initial: string | null };

export type CommandLine =
  | ClientCommand
  /** `unknown`: not a command that is offered here. `malformed`: one with other arguments than it has. */
  | { verb: null; fault: 'malformed' | 'unknown' };

const UNKNOWN: CommandLine = { verb: null, fault: 'unknown' };
const MALFORMED: CommandLine = { verb: null, fault: 'malformed' };

/** Reads a line without its CRLF. */
export function readCommandLine(line: Buffer): CommandLine {
  const verb = (/^[A-Za-z]{3,4}(?= |$)/.exec(line.toString('latin1', 0, 5))?.[0] ?? '').toUpperCase();
  const rest = line.subarray(verb.length + 1);
  switch (verb) {
    case 'CAPA':
    case 'NOOP':
    case 'QUIT':
    case 'RSET':
    case 'STAT':
    case 'STLS':
      return words(rest).length === 0 ? { verb } : MALFORMED;
    case 'LIST':
    case 'UIDL': {
      const [message, more] = numbers(rest);
      if (message === null || more !== undefined) return MALFORMED;
      return { verb, message: message ?? null };
    }
    case 'DELE':
    case 'RETR': {
      const [message, more] = numbers(rest);
      if (typeof message !== 'number' || more !== undefined) return MALFORMED;
      return { verb, message };
    }
    case 'TOP': {
      const [message, lines, more] = numbers(rest);
      if (typeof message !== 'number' || typeof lines !== 'number' || more !== undefined) return MALFORMED;
      return { verb, message, lines };
    }
    case 'PASS':
    case 'USER':
      return rest.length === 0 ? MALFORMED : { verb, argument: rest };
    case 'AUTH': {
      const [mechanism = null, initial = null, more] = words(rest);
      if (more !== undefined || (mechanism !== null && !/^[A-Za-z0-9_-]{1,20}$/.test(mechanism)))
        return MALFORMED;
      return { verb, mechanism: mechanism?.toUpperCase() ?? null, initial };
    }
    default:
      return UNKNOWN;
  }
}

/** Some clients send more blanks than the grammar has, and blanks at the end. */
function words(octets: Buffer): string[] {
  return octets
    .toString('latin1')
    .split(' ')
    .filter((word) => word !== '');
}

/** null: a word that is no number. RFC 1939 gives numbers no bound; 32 bits are more than any maildrop has. */
function numbers(octets: Buffer): (number | null)[] {
  return words(octets).map((word) => {
    const value = /^[0-9]{1,10}$/.test(word) ? Number(word) : Number.NaN;
    return value <= 0xffff_ffff ? value : null;
  });
}

/** Those that carry no credentials. */
export type SayableCommand = Exclude<ClientCommand, { verb: 'AUTH' } | { verb: 'PASS' } | { verb: 'USER' }>;

/** The command as the mail server gets it, with its CRLF. */
export function writeCommand(command: SayableCommand): string {
  switch (command.verb) {
    case 'LIST':
    case 'UIDL':
      return command.message === null ? `${command.verb}\r\n` : `${command.verb} ${command.message}\r\n`;
    case 'DELE':
    case 'RETR':
      return `${command.verb} ${command.message}\r\n`;
    case 'TOP':
      return `TOP ${command.message} ${command.lines}\r\n`;
    default:
      return `${command.verb}\r\n`;
  }
}
