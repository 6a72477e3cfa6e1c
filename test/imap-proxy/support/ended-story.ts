import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Openings } from '../../../src/reading/openings.ts';
import type { TlsMaterial } from '../../support/certificate.ts';
import { AnsweringServer } from './answering-server.ts';
import { afterSaying, answersOf, type Carriers, optionsOf, sayStory, withCompress } from './carriers.ts';
import { CountedSpool } from './counted-spool.ts';
import { CAPABILITIES, FakeUpstream } from './fake-upstream.ts';
import { ImapConversation } from './imap-conversation.ts';
import { type Cutting, LayeredSocket } from './layered-socket.ts';
import { startTestProxy, type TestProxy } from './listener.ts';
import type { Story } from './session-stories.ts';

/** `server` null: the gateway has called nobody. */
type Legs = { client: ImapConversation; server: ImapConversation | null; proxy: TestProxy };

/** Who ends it, and how. Where nothing is between, who is cut off has closed its half. */
export type End = keyof typeof CLIENT_ENDS | keyof typeof SERVER_ENDS;

const CLIENT_ENDS = {
  'the client closes': ({ client }: Legs) => client.close(),
  'the client resets': ({ client }: Legs) => void client.socket.resetAndDestroy(),
  'the client closes its half': ({ client }: Legs) => void client.socket.end(),
  'the gateway stops': ({ proxy }: Legs) => void proxy.close(),
  /** Of what is between, nobody has said the last word. */
  'the client is cut off': ({ client }: Legs) => cutOff(client),
};

const SERVER_ENDS = {
  'the mail server closes': ({ server }: Legs) => void server?.socket.end(),
  'the mail server resets': ({ server }: Legs) => void server?.socket.resetAndDestroy(),
  'the mail server says BYE': ({ server }: Legs) => void server?.socket.end('* BYE bye\r\n'),
  'the mail server is cut off': ({ server }: Legs) => server !== null && cutOff(server),
};

export const ENDS = [...Object.keys(CLIENT_ENDS), ...Object.keys(SERVER_ENDS)] as readonly End[];

function cutOff({ socket }: ImapConversation): void {
  if (socket instanceof LayeredSocket) socket.cut();
  else socket.end();
}

export type Step = number | 'PIN' | { disk: number };

/**
 * A step of the mail server's at which it stops, and how much it says of that; or a moment at which a PIN is asked for, or the disk; or
 * octets of one side behind which no more come, as they are on the wire.
 */
export type Cut =
  | { step: Step; said: 'nothing' | 'half' | 'whole' }
  | { of: 'client' | 'server'; octets: number };

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

/** What is between the gateway and its peers, with what TLS needs; absent: nothing. */
export type Carried = { carriers: Carriers; material: TlsMaterial };

/** One session of a story, which somebody ends. */
export class EndedStory {
  readonly #story: Story;
  readonly #cut: Cut | null;
  readonly #carried: Carried | null;
  readonly #spool = new CountedSpool();
  readonly #openings = new Openings({ opening: { all: 2, each: 2 }, waiting: { all: 2, each: 2 } });
  readonly #reached = Promise.withResolvers<void>();
  #isOver = false;
  /** Of the mail server's. */
  steps = 0;
  /** Octets that left of each side, where something is between. */
  readonly left = { client: 0, server: 0 };

  get spooled(): number {
    return this.#spool.finished;
  }

  constructor(story: Story, cut: Cut | null, carried: Carried | null = null) {
    this.#story = story;
    this.#cut = cut;
    this.#carried = carried;
  }

  /** null: all is as it has to be. */
  async wrong(end: End | null): Promise<string | null> {
    const upstream = await FakeUpstream.start();
    const { changes, mode } = this.#story;
    const places = { spool: this.#spool, openings: this.#openings };
    const carried = this.#carried;
    const under = carried === null ? {} : optionsOf(carried.carriers, carried.material, upstream.port);
    const proxy = await startTestProxy(upstream.port, { ...places, ...changes?.(), ...under });
    proxy.control.mode = mode ?? 'works';
    const step = this.#step;
    const disk = typeof step === 'object' && step !== null ? this.#spool.hold(step.disk) : null;
    void disk?.asked.then(() => this.#reached.resolve());
    try {
      const client = await this.#dialled(proxy.port, this.#cutting('client'));
      const said = this.#say(client);
      said.catch(() => undefined);
      const accepted = this.#accepted(upstream, this.#cutting('server'));
      // Before its client is there the gateway calls nobody.
      const server = await Promise.race([accepted, this.#reached.promise.then(() => null)]);
      if (server === null && end !== null && end in SERVER_ENDS) return null;
      if (server !== null) void this.#serving(server, (text) => this.#sayStep(server, text));
      void this.#typing(proxy);
      // A signature of TLS has now more octets, now fewer.
      if (this.#cut !== null && 'octets' in this.#cut)
        said.then(() => this.#reached.resolve()).catch(() => undefined);
      await inTime(end === null ? said : this.#reached.promise, 'it does not come so far');
      const isWhole = this.#cut !== null && 'said' in this.#cut && this.#cut.said === 'whole';
      if (!isWhole && server !== null) await this.#dealtWith(upstream, proxy);
      const ended = { ...CLIENT_ENDS, ...SERVER_ENDS }[end ?? 'the client closes'];
      ended({ client, server, proxy });
      if (end === 'the gateway stops') await inTime(client.rest(), 'the client is not told');
      else if (disk !== null) await this.#dealtWith(upstream, proxy);
      disk?.goOn();
      await inTime(client.rest(), 'the client is not told');
      if (server !== null) await inTime(server.rest(), 'the mail server is not told');
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
    const { capabilities = CAPABILITIES } = this.#story;
    const carried = this.#carried;
    if (carried === null) return new AnsweringServer(server, capabilities, () => null, say).run();
    const { carriers, material } = carried;
    const told = withCompress(carriers.server, capabilities);
    return new AnsweringServer(server, told, answersOf(carriers, capabilities), async (text) => {
      const goesOn = await say(text);
      if (goesOn) afterSaying(text, server.socket as unknown as LayeredSocket, material);
      return goesOn;
    }).run();
  }

  get #step(): Step | null {
    return this.#cut !== null && 'step' in this.#cut ? this.#cut.step : null;
  }

  async #sayStep(server: ImapConversation, text: string): Promise<boolean> {
    const cut = this.#cut;
    const step = this.steps++;
    if (cut === null || 'octets' in cut || cut.step !== step) {
      server.send(text);
      return true;
    }
    if (cut.said === 'half') server.send(text.slice(0, Math.floor(text.length / 2)));
    if (cut.said === 'whole') server.send(text);
    this.#reached.resolve();
    return false;
  }

  async #say(client: ImapConversation): Promise<void> {
    if (this.#carried !== null) {
      const { carriers, material } = this.#carried;
      const socket = client.socket as unknown as LayeredSocket;
      await sayStory(client, socket, this.#story, carriers.client, material);
      return;
    }
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
        if (this.#step === 'PIN') return this.#reached.resolve();
        control.typed();
        await turn();
        control.mode = 'waits';
      }
      await turn();
    }
  }

  /** What goes through another session has come after it. */
  async #dealtWith(upstream: FakeUpstream, proxy: TestProxy): Promise<void> {
    const other = await this.#dialled(proxy.port);
    const server = await inTime(this.#accepted(upstream), 'the gateway takes nobody else');
    void this.#serving(server, async (text) => {
      server.send(text);
      return true;
    });
    await other.until(/^\* OK [^\r]*\r\n/);
    other.close();
  }

  #startTls({ socket }: ImapConversation): void {
    if (this.#carried !== null) (socket as unknown as LayeredSocket).startTls(this.#carried.material);
  }

  async #dialled(port: number, cutting: Cutting | null = null): Promise<ImapConversation> {
    const socket = connect(port, '127.0.0.1');
    const over = this.#carried === null ? socket : new LayeredSocket(socket, 'client', cutting);
    const client = new ImapConversation(over as Socket);
    await once(socket, 'connect');
    if (this.#carried?.carriers.client.tls === 'implicit') this.#startTls(client);
    return client;
  }

  async #accepted(upstream: FakeUpstream, cutting: Cutting | null = null): Promise<ImapConversation> {
    if (this.#carried === null) return await upstream.accept();
    const over = (each: Socket) => new LayeredSocket(each, 'server', cutting) as unknown as Socket;
    const server = await upstream.accept(over);
    if (this.#carried.carriers.server.tls === 'implicit') this.#startTls(server);
    return server;
  }

  /** Counts what leaves on that side, and stops where it is to. */
  #cutting(of: 'client' | 'server'): Cutting | null {
    const cut = this.#cut;
    const most = cut !== null && 'octets' in cut && cut.of === of ? cut.octets : Number.POSITIVE_INFINITY;
    const reached = (): void => this.#reached.resolve();
    const { left } = this;
    return {
      *pieces(octets) {
        const before = left[of];
        left[of] += octets.length;
        if (before < most) yield octets.subarray(0, most - before);
        if (left[of] >= most) reached();
      },
      between: async () => undefined,
    };
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
