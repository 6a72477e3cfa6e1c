import type { Entry, Client as LdapClient, ResultCodeError } from 'ldapts';
import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { printable } from '../../log/printable.ts';
import type { Secret } from '../../log/secret.ts';
import { connectLdap, type LdapServer, type LdapTls } from './connection.ts';
import { MessageStream } from './message-stream.ts';
import { ldapAnswer } from './messages.ts';

/** Where and as whom an LDAP directory is searched. */
export type LdapSearchSettings = {
  /** Asked in this order; one after the other, where one is away. */
  servers: readonly LdapServer[];
  tls: LdapTls;
  allowPlaintext: boolean;
  /** null: anonymously. */
  bind: { dn: string; password: Secret } | null;
  base: string;
  scope: 'base' | 'one' | 'sub';
  timeoutMs: number;
};

/**
 * Searches an LDAP directory (RFC 4511): one connection for each question, bind, one search, no referral followed. The time that is left is
 * shared among the servers that have not been tried, so that one that says nothing leaves some for the next.
 */
export class LdapSearch {
  readonly #settings: LdapSearchSettings;
  /** Where the last answer came from. */
  #best = 0;

  constructor(settings: LdapSearchSettings) {
    this.#settings = settings;
  }

  /**
   * The entries that a filter finds, with the values of these attributes as octets; none is an answer too.
   *
   * @param filter text of RFC 4515 @param signal aborted: nobody waits for the answer any more
   * @throws SealgateError `directory.ldap-answer` (temporary): no server gave an answer, or one of more entries than may be
   */
  async entries(
    filter: string,
    attributes: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Entry[]> {
    const { servers, timeoutMs } = this.#settings;
    const deadline = performance.now() + timeoutMs;
    const reasons: string[] = [];
    for (let tried = 0; tried < servers.length && !signal.aborted; tried++) {
      const at = (this.#best + tried) % servers.length;
      const server = servers[at];
      if (server === undefined) break;
      const left = Math.max(1, Math.round((deadline - performance.now()) / (servers.length - tried)));
      const turn = AbortSignal.any([signal, AbortSignal.timeout(left)]);
      try {
        const found = await this.#search(server, filter, attributes, turn);
        this.#best = at;
        return found;
      } catch (error) {
        reasons.push(`${server.name}: ${turn.aborted ? 'no answer in time' : reasonOf(error)}`);
      }
    }
    throw ldapAnswer(reasons.join('; ') || 'no answer in time');
  }

  async #search(
    server: LdapServer,
    filter: string,
    attributes: readonly string[],
    signal: AbortSignal,
  ): Promise<readonly Entry[]> {
    const { tls, allowPlaintext, bind, base, scope, timeoutMs } = this.#settings;
    const { Client } = await import('ldapts');
    const socket = await connectLdap(server, { tls, allowPlaintext, signal });
    const stream = new MessageStream(socket, limits.ldap);
    const abandon = () => stream.fail(new Error('no answer in time'));
    signal.addEventListener('abort', abandon);
    if (signal.aborted) abandon();
    const client = new Client({
      ...{ url: 'ldap://localhost', createConnection: once(stream), timeout: timeoutMs },
    });
    try {
      if (bind !== null) await client.bind(bind.dn, bind.password.reveal());
      const { searchEntries } = await client.search(base, {
        ...{ scope, derefAliases: 'never', sizeLimit: limits.ldap.entries },
        timeLimit: Math.ceil(timeoutMs / 1_000),
        filter,
        attributes: [...attributes],
        explicitBufferAttributes: [...attributes],
      });
      // The library takes "there are more" for an answer.
      if (searchEntries.length >= limits.ldap.entries) throw ldapAnswer('the filter finds too many entries');
      return searchEntries;
    } catch (error) {
      throw stream.failure ?? error;
    } finally {
      signal.removeEventListener('abort', abandon);
      await leave(client, stream);
    }
  }
}

/** The library connects anew when a connection is gone; here it must not, since nothing would be verified. */
function once(stream: MessageStream) {
  let used = false;
  return () => {
    if (used) throw new Error('the connection is closed');
    used = true;
    // It uses what a stream has, `connecting` and `readyState`.
    return stream as unknown as ReturnType<typeof import('node:net').connect>;
  };
}

async function leave(client: LdapClient, stream: MessageStream): Promise<void> {
  if (!stream.destroyed) await client.unbind().catch(() => undefined);
  stream.destroy();
}

/** For the log: what the server says is a stranger's text. */
function reasonOf(error: unknown): string {
  if (error instanceof SealgateError) return printable(error.reason ?? error.publicText);
  if (!(error instanceof Error)) return 'unknown error';
  const code = (error as Partial<ResultCodeError>).code;
  return printable(`${error.message.slice(0, 300)}${typeof code === 'number' ? ` (result ${code})` : ''}`);
}
