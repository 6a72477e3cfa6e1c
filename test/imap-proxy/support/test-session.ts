import type { ImapListenerOptions } from '../../../src/imap-proxy/listener.ts';
import { FakeUpstream, loggedIn } from './fake-upstream.ts';
import type { ImapConversation } from './imap-conversation.ts';
import { startTestProxy, type TestProxy } from './listener.ts';

/** A session after its login, with both of its ends. */
export type TestSession = {
  upstream: FakeUpstream;
  proxy: TestProxy;
  client: ImapConversation;
  server: ImapConversation;
  close(): Promise<void>;
};

export async function startTestSession(changes: Partial<ImapListenerOptions> = {}): Promise<TestSession> {
  const upstream = await FakeUpstream.start();
  const proxy = await startTestProxy(upstream.port, changes);
  const { client, server } = await loggedIn(upstream, proxy.port);
  return {
    ...{ upstream, proxy, client, server },
    async close() {
      client.close();
      await proxy.close();
      await upstream.close();
    },
  };
}
