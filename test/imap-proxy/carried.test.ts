import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateFor, type TlsMaterial } from '../support/certificate.ts';
import { AnsweringServer } from './support/answering-server.ts';
import {
  afterSaying,
  answersOf,
  CARRIERS,
  type Carriers,
  optionsOf,
  PLAIN,
  sayStory,
  withCompress,
} from './support/carriers.ts';
import { CAPABILITIES, FakeUpstream } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { type Cutting, LayeredSocket } from './support/layered-socket.ts';
import { startTestProxy } from './support/listener.ts';
import { STORIES, type Story } from './support/session-stories.ts';

/** Whatever is between the gateway and its peers, and though its octets come one by one: both hear what they hear without it. */

let material: TlsMaterial;
beforeAll(() => {
  material = certificateFor('localhost');
});
afterAll(() => material.remove());

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const ONE_BY_ONE: Cutting = {
  *pieces(octets) {
    for (let at = 0; at < octets.length; at++) yield octets.subarray(at, at + 1);
  },
  async between() {
    await turn();
    await turn();
  },
};

/** What the client and the mail server hear. */
async function heard(story: Story, carriers: Carriers, cutting: Cutting | null): Promise<string> {
  const upstream = await FakeUpstream.start();
  const { capabilities = CAPABILITIES, changes, mode = 'works' } = story;
  const under = optionsOf(carriers, material, upstream.port);
  const proxy = await startTestProxy(upstream.port, { ...changes?.(), ...under });
  proxy.control.mode = mode;
  const serving = async (): Promise<string> => {
    const over = (each: Socket) => new LayeredSocket(each, 'server', cutting) as unknown as Socket;
    const server = await upstream.accept(over);
    const layers = server.socket as unknown as LayeredSocket;
    if (carriers.server.tls === 'implicit') layers.startTls(material);
    const told = withCompress(carriers.server, capabilities);
    const say = async (text: string): Promise<boolean> => {
      server.send(text);
      afterSaying(text, layers, material);
      return true;
    };
    const answering = new AnsweringServer(server, told, answersOf(carriers, capabilities), say);
    await answering.run();
    return answering.heard;
  };
  try {
    const raw = connect(proxy.port, '127.0.0.1');
    await once(raw, 'connect');
    const socket = new LayeredSocket(raw.setNoDelay(true), 'client', cutting);
    if (carriers.client.tls === 'implicit') socket.startTls(material);
    const client = new ImapConversation(socket as unknown as Socket);
    const served = serving();
    const text = await sayStory(client, socket, story, carriers.client, material);
    client.close();
    const commands = (await served).replace(/^S[1-5] (?:STARTTLS|CAPABILITY|COMPRESS DEFLATE)\n/gm, '');
    // What is sealed is sealed by chance.
    return `${text}\n${commands}`
      .replace(/sealed=.*?\r\n\r\n[A-Za-z0-9+/=]+/gs, 'sealed')
      .replace(/\[CAPABILITY [^\]]*\]/g, '');
  } finally {
    await proxy.close();
    await upstream.close();
  }
}

/** What is said by whoever is first is said when it comes; these have compression of their own, or none after the login. */
const STEADY = Object.entries(STORIES).filter(
  ([name, { mode, changes }]) =>
    mode !== 'waits' && changes?.().warmUp === undefined && !/COMPRESS|compresses|stored session/.test(name),
);
const CARRIED = Object.entries(CARRIERS);

test.each(STEADY.map(([name, story], at) => ({ name, story, at })))('$name', async ({ story, at }) => {
  const plain = await heard(story, { client: PLAIN, server: PLAIN }, null);
  // Each story is carried on each side by something, and each pair of carriers carries some story.
  const [ofClient, client] = CARRIED[at % CARRIED.length] ?? ['', PLAIN];
  const [ofServer, server] = CARRIED[(at + Math.floor(at / CARRIED.length)) % CARRIED.length] ?? ['', PLAIN];
  const name = `${ofClient}, ${ofServer}`;
  for (const cutting of [null, ONE_BY_ONE])
    expect(await heard(story, { client, server }, cutting), name).toBe(plain);
});
