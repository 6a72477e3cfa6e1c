import { describe, expect, it } from 'vitest';
import { appendCommand, largestAppend, loginCommand, mailboxCommand } from '../../src/imap-out/commands.ts';
import { quotedMailbox } from '../../src/imap-out/mailbox-name.ts';
import { Secret } from '../../src/log/secret.ts';

const texts = (command: readonly Buffer[] | null) => command?.map((piece) => piece.toString('utf8'));
const account = (login: string, password: string) => ({ login, password: new Secret(password) });

describe('commands to the mail server of an archive', () => {
  it('log in with the command, after it, or by literals', () => {
    const bob = account('bob', 'sesamé');
    const coded = Buffer.from('\0bob\0sesamé').toString('base64');
    expect(texts(loginCommand(new Set(['AUTH=PLAIN', 'SASL-IR']), bob))).toEqual([
      `AUTHENTICATE PLAIN ${coded}\r\n`,
    ]);
    expect(texts(loginCommand(new Set(['AUTH=PLAIN']), bob))).toEqual([
      'AUTHENTICATE PLAIN\r\n',
      `${coded}\r\n`,
    ]);
    expect(texts(loginCommand(new Set(), bob))).toEqual(['LOGIN {3}\r\n', 'bob {7}\r\n', 'sesamé\r\n']);
    expect(loginCommand(new Set(['LOGINDISABLED']), bob)).toBeNull();
  });

  it.each(['bob\r\nA2 DELETE INBOX', 'bob\0root', 'bob\n'])('never send the login %j', (login) => {
    for (const capabilities of [new Set<string>(), new Set(['AUTH=PLAIN'])]) {
      expect(() => loginCommand(capabilities, account(login, 'x'))).toThrow('control characters');
      expect(() => loginCommand(capabilities, account('bob', login))).toThrow('control characters');
    }
  });

  it('a message, announced where it is large', () => {
    const mail = Buffer.from('Subject: x\r\n\r\ntext\r\n');
    const plus = new Set(['LITERAL+']);
    expect(texts(appendCommand('Sent', mail, plus))).toEqual([
      `APPEND "Sent" (\\Seen) {20+}\r\n${mail.toString()}\r\n`,
    ]);
    expect(texts(appendCommand('Sent', mail, new Set()))).toEqual([
      'APPEND "Sent" (\\Seen) {20}\r\n',
      `${mail.toString()}\r\n`,
    ]);
    expect(appendCommand('Sent', Buffer.alloc(4096, 0x61), plus)).toHaveLength(1);
    expect(appendCommand('Sent', Buffer.alloc(4097, 0x61), plus)).toHaveLength(2);
  });

  it('a message with a NUL, only where the server takes one', () => {
    const mail = Buffer.from('a\0b');
    expect(appendCommand('Sent', mail, new Set())).toBeNull();
    expect(texts(appendCommand('Sent', mail, new Set(['BINARY'])))?.[0]).toBe(
      'APPEND "Sent" (\\Seen) ~{3}\r\n',
    );
  });

  it.each([
    ['Sent', '"Sent"'],
    ['a "b" \\c', '"a \\"b\\" \\\\c"'],
    ['Gesendet & geprüft', '"Gesendet &- gepr&APw-ft"'],
    // RFC 3501 §5.1.3
    ['~peter/mail/台北/日本語', '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'],
    ['😀', '"&2D3eAA-"'],
  ])('the mailbox %s', (name, written) => {
    expect(quotedMailbox(name, false).toString('latin1')).toBe(written);
  });

  it('a mailbox in UTF-8 where the server speaks nothing else', () => {
    const [command] = mailboxCommand('CREATE', 'geprüft', new Set(['IMAP4REV2']));
    expect(command?.toString('utf8')).toBe('CREATE "geprüft"\r\n');
    expect(() => quotedMailbox('Sent\r\nA1 LOGOUT', false)).toThrow('control characters');
  });

  it('the largest message that a server takes', () => {
    expect(largestAppend(new Set(['APPENDLIMIT=35000']))).toBe(35_000);
    expect(largestAppend(new Set(['APPENDLIMIT', 'IMAP4REV1']))).toBeNull();
  });
});
