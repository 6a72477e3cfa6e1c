import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { Openings } from '../../src/reading/openings.ts';
import { AnsweringServer } from './support/answering-server.ts';
import { CountedSpool } from './support/counted-spool.ts';
import { CAPABILITIES, FakeUpstream } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { SELECT, STORIES, type Story } from './support/session-stories.ts';

/** Whatever a session waits for, and whoever ends it then: it ends, on both sides, and gives back what it had. */

type Legs = { client: ImapConversation; server: ImapConversation; proxy: TestProxy };

const ENDS: Record<string, (legs: Legs) => void> = {
  'the client closes': ({ client }) => client.close(),
  'the client resets': ({ client }) => void client.socket.resetAndDestroy(),
  'the client closes its half': ({ client }) => void client.socket.end(),
  'the mail server closes': ({ server }) => void server.socket.end(),
  'the mail server resets': ({ server }) => void server.socket.resetAndDestroy(),
  'the mail server says BYE': ({ server }) => void server.socket.end('* BYE bye\r\n'),
  'the gateway stops': ({ proxy }) => void proxy.close(),
};

/** A step of the mail server's at which it stops, and how much it says of that; or a moment at which a PIN is asked for, or the disk. */
type Cut = { step: number | 'PIN' | { disk: number }; said: 'nothing' | 'half' | 'whole' };

/** What has not come by then is told of as what never comes; milliseconds. */
const NEVER_MS = 5_000;

async function inTime<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(what)), NEVER_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whom the toy sessions log in as. */
const PRINCIPAL = 'bob@example.org';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** One session of a story. */
class Run {
  readonly #story: Story;
  readonly #cut: Cut | null;
  readonly #spool = new CountedSpool();
  readonly #openings = new Openings({ opening: { all: 2, each: 2 }, waiting: { all: 2, each: 2 } });
  readonly #reached = Promise.withResolvers<void>();
  #isOver = false;
  /** Of the mail server's. */
  steps = 0;

  get spooled(): number {
    return this.#spool.finished;
  }

  constructor(story: Story, cut: Cut | null) {
    this.#story = story;
    this.#cut = cut;
  }

  /** null: all is as it has to be. */
  async wrong(end: string | null): Promise<string | null> {
    const upstream = await FakeUpstream.start();
    const { changes, mode } = this.#story;
    const places = { spool: this.#spool, openings: this.#openings };
    const proxy = await startTestProxy(upstream.port, { ...places, ...changes?.() });
    proxy.control.mode = mode ?? 'works';
    const step = this.#cut?.step;
    const disk = typeof step === 'object' ? this.#spool.hold(step.disk) : null;
    void disk?.asked.then(() => this.#reached.resolve());
    try {
      const client = await dialled(proxy.port);
      const server = await upstream.accept();
      void this.#serving(server, (text) => this.#step(server, text));
      void this.#typing(proxy);
      const said = this.#say(client);
      said.catch(() => undefined);
      await inTime(end === null ? said : this.#reached.promise, 'it does not come so far');
      if (this.#cut?.said !== 'whole') await this.#dealtWith(upstream, proxy);
      ENDS[end ?? 'the client closes']?.({ client, server, proxy });
      if (end === 'the gateway stops') await inTime(client.rest(), 'the client is not told');
      else if (disk !== null) await this.#dealtWith(upstream, proxy);
      disk?.goOn();
      await inTime(client.rest(), 'the client is not told');
      await inTime(server.rest(), 'the mail server is not told');
      client.close();
      await inTime(proxy.close(), 'the gateway does not stop');
      return await this.#left(proxy);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      this.#isOver = true;
      disk?.goOn();
      proxy.control.typed();
      await upstream.close();
      await inTime(proxy.close(), 'the gateway does not stop at all').catch(() => undefined);
    }
  }

  #serving(server: ImapConversation, say: (text: string) => Promise<boolean>): Promise<void> {
    return new AnsweringServer(server, this.#story.capabilities ?? CAPABILITIES, () => null, say).run();
  }

  async #step(server: ImapConversation, text: string): Promise<boolean> {
    const step = this.steps++;
    if (this.#cut?.step !== step) {
      server.send(text);
      return true;
    }
    if (this.#cut.said === 'half') server.send(text.slice(0, Math.floor(text.length / 2)));
    if (this.#cut.said === 'whole') server.send(text);
    this.#reached.resolve();
    return false;
  }

  async #say(client: ImapConversation): Promise<void> {
    await client.until(/^\* /m);
    for (const [octets, until] of this.#story.says) {
      client.send(octets);
      await client.until(until);
    }
  }

  /** Whoever is to type a PIN does, unless that is the moment in question. */
  async #typing({ control }: TestProxy): Promise<void> {
    while (this.#story.mode === 'waits' && !this.#isOver) {
      if (control.waiting.size > 0) {
        // By then its session does not wait for it any longer.
        for (let turns = 0; turns < 10; turns++) await turn();
        if (this.#cut?.step === 'PIN') return this.#reached.resolve();
        control.typed();
        control.mode = 'waits';
      }
      await turn();
    }
  }

  /** What goes through another session has come after it. */
  async #dealtWith(upstream: FakeUpstream, proxy: TestProxy): Promise<void> {
    const other = await dialled(proxy.port);
    const server = await inTime(upstream.accept(), 'the gateway takes nobody else');
    server.send(`* OK [CAPABILITY ${CAPABILITIES}] hello\r\n`);
    await other.until(/^\* OK [^\r]*\r\n/);
    other.close();
  }

  /** What a session has not given back. */
  async #left({ events }: TestProxy): Promise<string | null> {
    for (let turns = 0; turns < 100 && this.#spool.live > 0; turns++) await turn();
    if (this.#spool.live > 0) return 'octets lie in the spool';
    if (!this.#openings.hasSpare(PRINCIPAL)) return 'a place is taken';
    for (let count = 0; count < 2; count++) {
      const place = await this.#openings.enter(PRINCIPAL, new AbortController().signal);
      if (place?.wait() !== true) return 'a place of those that wait for a PIN is taken';
    }
    // The mail server of the stories follows the protocol, and none is to be accused of what its client did.
    const wrong = events.find((each) =>
      each.event === 'imap.protocol-error'
        ? / to no command/.test(each.reason)
        : each.event === 'gateway.defect',
    );
    return wrong === undefined ? null : JSON.stringify(wrong);
  }
}

async function dialled(port: number): Promise<ImapConversation> {
  const socket = connect(port, '127.0.0.1');
  const client = new ImapConversation(socket);
  await once(socket, 'connect');
  return client;
}

test.each(Object.keys(STORIES))('%s', async (name) => {
  const story = STORIES[name] as Story;
  const whole = new Run(story, null);
  expect(await whole.wrong(null)).toBeNull();
  // What others have, too, is tried once.
  const from = story.says[1] === SELECT ? 3 : 0;
  const steps: Cut['step'][] = Array.from({ length: whole.steps - from }, (_, step) => from + step);
  if (story.mode === 'waits') steps.push('PIN');
  for (let disk = 0; disk < whole.spooled; disk++) steps.push({ disk });
  const left = steps.flatMap((step) =>
    (typeof step !== 'number' ? (['nothing'] as const) : (['nothing', 'half', 'whole'] as const)).flatMap(
      (said) => Object.keys(ENDS).map((end) => ({ cut: { step, said }, end })),
    ),
  );
  const wrong: string[] = [];
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const found = await new Run(story, next.cut).wrong(next.end);
      if (found !== null) wrong.push(`${JSON.stringify(next.cut)}, ${next.end}: ${found}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(wrong).toEqual([]);
});
