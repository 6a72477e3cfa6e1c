import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { AnsweringServer } from './support/answering-server.ts';
import { CAPABILITIES, FakeUpstream } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy } from './support/listener.ts';
import { STORIES, type Story } from './support/session-stories.ts';

/** However the octets of both sides come, each side hears the same. Before a piece comes, what came before it has been dealt with. */

type Ways = { client: 'whole' | 'pieces' | 'at once'; server: 'whole' | 'pieces' };

/** One octet each, but in the middle of what is long. */
function pieces(text: string): string[] {
  const long = text.length > 500;
  const [from, to] = long ? [150, text.length - 100] : [text.length, text.length];
  const middle = text.slice(from, to).match(/.{1,97}/gs) ?? [];
  return [...text.slice(0, from), ...middle, ...text.slice(to)];
}

/** What the client and the mail server hear. */
async function heard({ says, capabilities, changes, mode }: Story, ways: Ways): Promise<string> {
  const upstream = await FakeUpstream.start();
  const proxy = await startTestProxy(upstream.port, changes?.());
  proxy.control.mode = mode ?? 'works';
  const answering = (server: ImapConversation, say: (text: string) => Promise<unknown>): AnsweringServer =>
    new AnsweringServer(
      server,
      capabilities ?? CAPABILITIES,
      () => null,
      (text) => say(text).then(() => true),
    );
  const dialled = async (): Promise<[ImapConversation, ImapConversation]> => {
    const socket = connect(proxy.port, '127.0.0.1');
    const client = new ImapConversation(socket);
    await once(socket, 'connect');
    socket.setNoDelay(true);
    return [client, await upstream.accept()];
  };
  try {
    const [other, otherServer] = await dialled();
    void answering(otherServer, async (text) => otherServer.send(text)).run();
    await other.until(/^\* OK[^\r]*\r\n/);
    await other.command('LOGIN bob pw');
    const sendIn = async (to: ImapConversation, text: string, how: 'whole' | 'pieces'): Promise<void> => {
      for (const piece of how === 'whole' ? [text] : pieces(text)) {
        to.send(piece);
        if (how === 'pieces') await roundTrip();
      }
    };
    let last = Promise.resolve('');
    const roundTrip = (): Promise<string> => {
      last = last.then(() => other.command('NOOP'));
      return last;
    };
    const [client, server] = await dialled();
    const served = answering(server, (text) => sendIn(server, text, ways.server));
    const ended = served.run();
    let text = await client.until(/^\* OK[^\r]*\r\n/);
    if (ways.client === 'at once') client.send(says.map(([octets]) => octets).join(''));
    for (const [octets, until] of says) {
      if (ways.client !== 'at once') await sendIn(client, octets, ways.client);
      // To the end of that line.
      text += await client.until(new RegExp(`${until.source}[^\\r]*\\r\\n`, until.flags));
    }
    client.close();
    await ended;
    other.close();
    return (
      `${text}\n${served.heard}`
        // What is sealed is sealed by chance.
        .replace(/sealed=.*?\r\n\r\n[A-Za-z0-9+/=]+/gs, 'sealed')
        // Said whenever a search takes long.
        .replace(/^\* OK \[INPROGRESS [^\r]*\r\n/gm, '')
    );
  } finally {
    await proxy.close();
    await upstream.close();
  }
}

/** What is said by whoever is first, a mail server or somebody who types, is said when it comes. */
const STEADY = Object.entries(STORIES).filter(([, { mode, changes }]) => {
  return mode !== 'waits' && changes?.().warmUp === undefined;
});

test.each(STEADY)('%s', async (_name, story) => {
  const whole = await heard(story, { client: 'whole', server: 'whole' });
  const atOnce = story.says.every(([, until]) => !until.source.includes('+'));
  const ways: Ways[] = [
    { client: 'pieces', server: 'whole' },
    { client: 'whole', server: 'pieces' },
    { client: 'pieces', server: 'pieces' },
    ...(atOnce
      ? [{ client: 'at once', server: 'whole' } as const, { client: 'at once', server: 'pieces' } as const]
      : []),
  ];
  const all = await Promise.all(ways.map(async (each) => ({ ways: each, heard: await heard(story, each) })));
  expect(all).toEqual(ways.map((each) => ({ ways: each, heard: whole })));
});
