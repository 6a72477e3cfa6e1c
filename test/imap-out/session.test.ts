import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Appended, ImapSession } from '../../src/imap-out/session.ts';
import { Secret } from '../../src/log/secret.ts';
import { type Conversation, scriptedServer, takeLogin } from './support/scripted-server.ts';

const MAIL = Buffer.from('Subject: x\r\n\r\ntext\r\n');
const ACCOUNT = { login: 'bob', password: new Secret('sesame') };

/** What comes of a message that this server is to store. */
async function stored(
  script: (conversation: Conversation) => Promise<void>,
  octets: Buffer = MAIL,
): Promise<{ outcome: Appended | string; heard: string }> {
  await using scripted = await scriptedServer(script);
  try {
    const session = await ImapSession.open(scripted.server, ACCOUNT, new AbortController().signal);
    const outcome = await session.append('Sent', octets);
    session.destroy();
    return { outcome, heard: scripted.heard.join('') };
  } catch (error) {
    return {
      outcome: error instanceof Error ? error.message : String(error),
      heard: scripted.heard.join(''),
    };
  }
}

/** Answers a login, then takes the announcement and the octets of a message. */
async function takeMessage(conversation: Conversation): Promise<void> {
  await takeLogin(conversation);
  await conversation.line();
  conversation.say('+ go on\r\n');
  await conversation.octets(MAIL.length + 2);
}

afterEach(() => {
  vi.useRealTimers();
});

describe('a message for the mail server of an archive', () => {
  it('is stored where the server says so, under the UID that it says', async () => {
    const { outcome, heard } = await stored(async (conversation) => {
      await takeMessage(conversation);
      conversation.say('* 4 EXISTS\r\nA2 OK [APPENDUID 77 12] stored\r\n');
    });
    expect(outcome).toEqual({ kind: 'appended', uid: '77 12' });
    expect(heard).toBe(
      `A1 LOGIN {3}\r\nbob {6}\r\nsesame\r\nA2 APPEND "Sent" (\\Seen) {20}\r\n${MAIL.toString()}\r\n`,
    );
  });

  it('makes the mailbox that is not there', async () => {
    const { outcome, heard } = await stored(async (conversation) => {
      await takeLogin(conversation);
      const { say, line } = conversation;
      await line();
      say('A2 NO [TRYCREATE] no such mailbox\r\n');
      await line();
      say('A3 OK made\r\n');
      await line();
      say('A4 BAD what is that?\r\n');
      await line();
      say('+ \r\n');
      await conversation.octets(MAIL.length + 2);
      say('A5 OK stored\r\n');
    });
    expect(outcome).toEqual({ kind: 'appended', uid: null });
    expect(heard).toContain('A3 CREATE "Sent"\r\nA4 SUBSCRIBE "Sent"\r\nA5 APPEND');
  });

  it('is not made twice: a server that says TRYCREATE again has refused', async () => {
    const { outcome } = await stored(async (conversation) => {
      await takeLogin(conversation);
      const { say, line } = conversation;
      await line();
      say('A2 NO [TRYCREATE] no such mailbox\r\n');
      await line();
      say('A3 NO [ALREADYEXISTS] it is there\r\n');
      await line();
      say('A4 OK\r\n');
      await line();
      say('A5 NO [TRYCREATE] no such mailbox\r\n');
    });
    const because = 'the archive said: NO [TRYCREATE] no such mailbox';
    expect(outcome).toEqual({ kind: 'refused', final: false, because });
  });

  it.each([
    ['NO [OVERQUOTA] full', false],
    ['NO [TOOBIG] never', true],
    ['BAD what?', false],
  ])('is refused with %s', async (answer, final) => {
    const { outcome } = await stored(async (conversation) => {
      await takeLogin(conversation);
      await conversation.line();
      conversation.say(`A2 ${answer}\r\n`);
    });
    expect(outcome).toEqual({ kind: 'refused', final, because: `the archive said: ${answer}` });
  });

  it('is not sent where the server has said that it is too large', async () => {
    const { outcome, heard } = await stored(async (conversation) => {
      const { say, line } = conversation;
      say('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n');
      await line();
      say('* CAPABILITY IMAP4rev1 APPENDLIMIT=10\r\nA1 OK in\r\n');
    });
    expect(outcome).toMatchObject({ kind: 'refused', final: true });
    expect(heard).not.toContain('APPEND');
  });

  it.each<[string, (conversation: Conversation) => Promise<void>]>([
    ['nobody logs in', async ({ say }) => say('* PREAUTH hello root\r\n')],
    ['it does not greet with OK', async ({ say }) => say('* BYE busy\r\n')],
    ['it greets with what is no greeting', async ({ say }) => say('* 3 EXISTS\r\n')],
    ['it closes at once', async ({ end }) => end()],
    [
      'it offers no login by password',
      async ({ say, line }) => {
        say('* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n');
        await line();
      },
    ],
    [
      'it refuses the login',
      async ({ say, line }) => {
        say('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n');
        await line();
        say('A1 NO [AUTHENTICATIONFAILED] no\r\n');
      },
    ],
    [
      'it says OK before it has the message',
      async (conversation) => {
        await takeLogin(conversation);
        await conversation.line();
        conversation.say('A2 OK stored\r\n');
      },
    ],
    [
      'it answers another command',
      async (conversation) => {
        await takeMessage(conversation);
        conversation.say('A1 OK stored\r\n');
      },
    ],
    [
      'its OK is in a literal',
      async (conversation) => {
        await takeMessage(conversation);
        conversation.say('* X {13}\r\nA2 OK stored\r\n\r\n');
        conversation.end();
      },
    ],
    [
      'it asks for a second message',
      async (conversation) => {
        await takeMessage(conversation);
        conversation.say('+ more\r\n');
      },
    ],
    [
      'it goes away in the middle',
      async (conversation) => {
        await takeLogin(conversation);
        await conversation.line();
        conversation.say('+ go on\r\n');
        conversation.end();
      },
    ],
    [
      'it says BYE',
      async (conversation) => {
        await takeMessage(conversation);
        conversation.say('* BYE shutting down\r\n');
      },
    ],
    [
      'it never ends a line',
      async (conversation) => {
        await takeMessage(conversation);
        conversation.say('* '.repeat(40_000));
      },
    ],
    [
      'it talks without end',
      async (conversation) => {
        await takeMessage(conversation);
        conversation.say('* 1 EXISTS\r\n'.repeat(20_000));
      },
    ],
  ])('counts as not stored where %s', async (_, script) => {
    const { outcome } = await stored(script);
    expect(outcome).toMatch(/^The mail server .+\(127\.0\.0\.1:\d+: /);
  });

  it('ends when nobody waits for it any more', async () => {
    await using scripted = await scriptedServer(async ({ line }) => {
      await line();
    });
    const stop = new AbortController();
    const opening = ImapSession.open(scripted.server, ACCOUNT, stop.signal);
    stop.abort();
    await expect(opening).rejects.toThrow('cannot be reached');
  });

  it.each<[string, string, RegExp]>([
    ['that refuses it', 'A1 NO not today\r\n', /it does not start TLS/],
    [
      'that sends on behind its OK, which somebody on the way may have done',
      'A1 OK begin\r\n* CAPABILITY IMAP4rev1\r\n',
      /something between its OK and TLS/,
    ],
    ['that speaks no TLS then', 'A1 OK begin\r\n', /could not be reached securely/],
  ])('goes without TLS to no server %s', async (_, answer, reason) => {
    await using scripted = await scriptedServer(async ({ say, line, end }) => {
      say('* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN SASL-IR] ready\r\n');
      await line();
      say(answer);
      await line();
      end();
    }, 'starttls');
    await expect(ImapSession.open(scripted.server, ACCOUNT, new AbortController().signal)).rejects.toThrow(
      reason,
    );
    expect(scripted.heard.join('')).not.toContain('AUTHENTICATE');
  });

  it.each<[string, (conversation: Conversation) => Promise<void>, number]>([
    ['greeting', async () => undefined, 15_000],
    [
      'answer to the login',
      async ({ say, line }) => {
        say('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n');
        await line();
      },
      120_000,
    ],
    ['answer to the message', takeMessage, 300_000],
  ])('does not wait without end for the %s', async (_, script, timeoutMs) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const reached = Promise.withResolvers<void>();
    const running = stored(async (conversation) => {
      await script(conversation);
      reached.resolve();
    });
    await reached.promise;
    let ended = false;
    void running.then(() => {
      ended = true;
    });
    while (!ended) {
      vi.advanceTimersByTime(timeoutMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await running).outcome).toMatch(/ in time\)$/);
  });

  it('does not wait without end for a server that always has something else to say', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const reached = Promise.withResolvers<Conversation['say']>();
    const running = stored(async (conversation) => {
      await takeMessage(conversation);
      reached.resolve(conversation.say);
    });
    const say = await reached.promise;
    let ended = false;
    void running.then(() => {
      ended = true;
    });
    for (let minutes = 0; minutes < 60 && !ended; minutes++) {
      vi.advanceTimersByTime(60_000);
      say('* OK still here\r\n');
      for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(ended).toBe(true);
    expect((await running).outcome).toMatch(/(too long over one command|in time)\)$/);
  });

  it('does not hear a server out after the goodbye', async () => {
    const saidGoodbye = Promise.withResolvers<void>();
    const gone = Promise.withResolvers<void>();
    await using scripted = await scriptedServer(
      async (conversation) => {
        await takeLogin(conversation);
        await conversation.line();
        saidGoodbye.resolve();
        const talking = setInterval(() => conversation.say('* OK and another thing\r\n'), 10);
        await conversation.line();
        clearInterval(talking);
        gone.resolve();
      },
      'none',
      true,
    );
    const session = await ImapSession.open(scripted.server, ACCOUNT, new AbortController().signal);
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    session.logOut();
    await saidGoodbye.promise;
    vi.advanceTimersByTime(2_000);
    await gone.promise;
  });

  it('shows no password in what is thrown', async () => {
    const { outcome } = await stored(async ({ say, line }) => {
      say('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n');
      const said = await line();
      say(`A1 NO no such login\x1b[31m\r\n`);
      expect(said).toContain('AUTHENTICATE PLAIN ');
    });
    expect(outcome).toContain('no such login?[31m');
    expect(outcome).not.toContain('sesame');
  });

  it.each<[string, (command: string) => string]>([
    ['the command', (command) => `A1 BAD unknown: ${command}`],
    [
      'the password',
      (command) =>
        `A1 NO not ${
          Buffer.from(command.split(' ')[3] ?? '', 'base64')
            .toString()
            .split('\0')[2]
        }`,
    ],
  ])('shows no password where the server cites %s', async (_, answer) => {
    const { outcome } = await stored(async ({ say, line }) => {
      say('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n');
      say(`${answer(await line())}\r\n`);
    });
    expect(outcome).toMatch(/it refuses the login: \(its words have the password in them\)/);
  });
});
