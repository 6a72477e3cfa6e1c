import type { Client as LdapClient, ResultCodeError } from 'ldapts';
import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { printable } from '../../log/printable.ts';
import type { Secret } from '../../log/secret.ts';
import type { Clock } from '../../pipeline/ports.ts';
import type { AddressKey } from '../address-key.ts';
import { isOneOfDomains } from '../remote/domains.ts';
import { certificatesIn } from '../remote/found-certificates.ts';
import type { RemoteAnswer, RemoteSource } from '../remote/remote-source.ts';
import { connectLdap, type LdapServer, type LdapTls } from './connection.ts';
import { filledIn } from './filter-template.ts';
import { MessageStream } from './message-stream.ts';
import { ldapAnswer } from './messages.ts';

/** An LDAP directory that is asked for certificates. */
export type LdapSettings = {
  name: string;
  /** Asked in this order; one after the other, where one is away. */
  servers: readonly LdapServer[];
  tls: LdapTls;
  allowPlaintext: boolean;
  /** null: anonymously. */
  bind: { dn: string; password: Secret } | null;
  base: string;
  scope: 'base' | 'one' | 'sub';
  /** See filter-template.ts. */
  filter: string;
  attributes: readonly string[];
  /** Domains or `*.domain`; null: every address. */
  domains: readonly string[] | null;
  trust: RemoteSource['trust'];
  optional: boolean;
  timeoutMs: number;
};

/**
 * Asks an LDAP directory (RFC 4511): one connection for each question, bind, one search, no referral followed. The time that is left is
 * shared among the servers that have not been tried, so that one that says nothing leaves some for the next.
 */
export class LdapSource implements RemoteSource {
  readonly kind = 'ldap';
  readonly name: string;
  readonly trust: RemoteSource['trust'];
  readonly optional: boolean;
  readonly timeoutMs: number;
  readonly #settings: LdapSettings;
  readonly #clock: Clock;
  readonly #postQuantum: boolean;
  /** Where the last answer came from. */
  #best = 0;

  constructor(settings: LdapSettings, clock: Clock, postQuantum: boolean) {
    ({ name: this.name, trust: this.trust, optional: this.optional, timeoutMs: this.timeoutMs } = settings);
    this.#settings = settings;
    this.#clock = clock;
    this.#postQuantum = postQuantum;
  }

  covers({ domain }: AddressKey): boolean {
    return isOneOfDomains(this.#settings.domains, domain);
  }

  async ask(key: AddressKey, signal: AbortSignal): Promise<RemoteAnswer> {
    const { servers } = this.#settings;
    const deadline = performance.now() + this.timeoutMs;
    const reasons: string[] = [];
    for (let tried = 0; tried < servers.length && !signal.aborted; tried++) {
      const at = (this.#best + tried) % servers.length;
      const server = servers[at];
      if (server === undefined) break;
      const left = Math.max(1, Math.round((deadline - performance.now()) / (servers.length - tried)));
      const turn = AbortSignal.any([signal, AbortSignal.timeout(left)]);
      try {
        const values = await this.#search(server, key, turn);
        this.#best = at;
        return certificatesIn(values, key.exact, this.#clock(), this.#postQuantum);
      } catch (error) {
        reasons.push(`${server.name}: ${turn.aborted ? 'no answer in time' : reasonOf(error)}`);
      }
    }
    throw ldapAnswer(reasons.join('; ') || 'no answer in time');
  }

  /** Values of the attributes, of all entries that are found. */
  async #search(server: LdapServer, key: AddressKey, signal: AbortSignal): Promise<Buffer[]> {
    const { tls, allowPlaintext, bind, base, scope, filter, attributes } = this.#settings;
    const { Client } = await import('ldapts');
    const socket = await connectLdap(server, { tls, allowPlaintext, signal });
    const stream = new MessageStream(socket, limits.ldap);
    const abandon = () => stream.fail(new Error('no answer in time'));
    signal.addEventListener('abort', abandon);
    if (signal.aborted) abandon();
    const client = new Client({
      ...{ url: 'ldap://localhost', createConnection: once(stream), timeout: this.timeoutMs },
    });
    try {
      if (bind !== null) await client.bind(bind.dn, bind.password.reveal());
      const { searchEntries } = await client.search(base, {
        ...{ scope, derefAliases: 'never', sizeLimit: limits.ldap.entries },
        timeLimit: Math.ceil(this.timeoutMs / 1_000),
        filter: filledIn(filter, key),
        attributes: bothForms(attributes),
        explicitBufferAttributes: bothForms(attributes),
      });
      // The library takes "there are more" for an answer.
      if (searchEntries.length >= limits.ldap.entries) throw ldapAnswer('the filter finds too many entries');
      const wanted = new Set(attributes.map(plainName));
      const values = searchEntries.flatMap((entry) =>
        Object.entries(entry).flatMap(([name, value]) =>
          wanted.has(plainName(name)) ? [value].flat().filter((one) => Buffer.isBuffer(one)) : [],
        ),
      );
      return [...new Map(values.map((value) => [value.toString('latin1'), value])).values()];
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

/**
 * RFC 4523 §2.1 wants `;binary` for userCertificate. Servers keep userSMIMECertificate by either name, and give what was asked for by
 * one of them under the other, or not at all.
 */
function bothForms(attributes: readonly string[]): string[] {
  return [...new Set(attributes.map(plainName))].flatMap((name) => [name, `${name};binary`]);
}

function plainName(attribute: string): string {
  return attribute.toLowerCase().replace(/;binary$/, '');
}

/** For the log: what the server says is a stranger's text. */
function reasonOf(error: unknown): string {
  if (error instanceof SealgateError) return printable(error.reason ?? error.publicText);
  if (!(error instanceof Error)) return 'unknown error';
  const code = (error as Partial<ResultCodeError>).code;
  return printable(`${error.message.slice(0, 300)}${typeof code === 'number' ? ` (result ${code})` : ''}`);
}
