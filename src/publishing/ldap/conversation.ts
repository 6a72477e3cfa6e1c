import type { Control, Operation, Request, SearchRequest } from './request.ts';
import {
  disconnection,
  extendedResult,
  type Result,
  responseTag,
  result,
  SUCCESS,
  searchEntry,
} from './response.ts';
import type { SearchAnswer, ServerFacts } from './search.ts';

/**
 * One client of the LDAP server (RFC 4511), without sockets: requests come one after another and each is answered before the next one.
 *
 * Holds: everybody is anonymous, and nothing can be changed.
 */
export type ConversationOptions = {
  /** `offered`: StartTLS may begin. */
  tls: 'offered' | 'on' | 'none';
  /** Whether people are told of without TLS. */
  plainSearch: boolean;
  vendor: string;
  search(request: SearchRequest, facts: ServerFacts): Promise<SearchAnswer>;
};

export type Answer = { octets: readonly Buffer[]; next: 'go-on' | 'start-tls' | 'close' };

const START_TLS = '1.3.6.1.4.1.1466.20037';
const WHO_AM_I = '1.3.6.1.4.1.4203.1.11.3';
/** ManageDsaIT (RFC 3296): there are no referrals, so it changes nothing. */
const HARMLESS_CONTROLS: ReadonlySet<string> = new Set(['2.16.840.1.113730.3.4.2']);
/** RFC 2696. */
const PAGED_RESULTS = '1.2.840.113556.1.4.319';

export class Conversation {
  readonly #options: ConversationOptions;
  #tls: ConversationOptions['tls'];

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  /** After StartTLS. */
  secured(): void {
    this.#tls = 'on';
  }

  async answer({ messageId, operation, controls }: Request): Promise<Answer> {
    if (operation.kind === 'unbind') return { octets: [], next: 'close' };
    // What is to be abandoned was answered before this was read.
    if (operation.kind === 'abandon') return { octets: [], next: 'go-on' };
    const unavailable = unavailableControl(controls);
    if (unavailable !== null) return this.#says(messageId, operation, unavailable);
    switch (operation.kind) {
      case 'search':
        return await this.#search(messageId, operation);
      case 'extended':
        return this.#extended(messageId, operation.name);
      case 'bind':
        return this.#says(messageId, operation, bindResult(operation));
      case 'other':
        return this.#says(messageId, operation, {
          code: 'unwillingToPerform',
          text: 'This directory is for searching alone; nothing in it can be changed or compared.',
        });
    }
  }

  async #search(messageId: number, request: SearchRequest): Promise<Answer> {
    // The server's own entry says how to go on.
    const isRoot = request.base === '' && request.scope === 'base';
    if (this.#tls !== 'on' && !this.#options.plainSearch && !isRoot) {
      const text = 'Begin TLS first (StartTLS): on the way a certificate could be exchanged for another one.';
      return this.#says(messageId, request, { code: 'confidentialityRequired', text });
    }
    const facts: ServerFacts = {
      extensions: this.#tls === 'offered' ? [START_TLS, WHO_AM_I] : [WHO_AM_I],
      vendor: this.#options.vendor,
    };
    const { entries, result: said } = await this.#options.search(request, facts);
    return {
      octets: [
        ...entries.map((entry) => searchEntry(messageId, entry)),
        result(messageId, responseTag.searchDone, said),
      ],
      next: 'go-on',
    };
  }

  #extended(messageId: number, name: string): Answer {
    if (name === WHO_AM_I) {
      // RFC 4532 §2.2: nobody.
      return goOn(extendedResult(messageId, SUCCESS, { value: Buffer.alloc(0) }));
    }
    if (name !== START_TLS) {
      return goOn(
        extendedResult(messageId, { code: 'protocolError', text: 'This request is not known here.' }),
      );
    }
    if (this.#tls === 'offered') {
      return { octets: [extendedResult(messageId, SUCCESS, { name: START_TLS })], next: 'start-tls' };
    }
    const text = this.#tls === 'on' ? 'TLS has begun already.' : 'There is no TLS here.';
    const code = this.#tls === 'on' ? 'operationsError' : 'unavailable';
    return goOn(extendedResult(messageId, { code, text }, { name: START_TLS }));
  }

  #says(messageId: number, operation: Operation, said: Result): Answer {
    return goOn(
      operation.kind === 'extended'
        ? extendedResult(messageId, said)
        : result(messageId, tagOf(operation), said),
    );
  }
}

/** Last words to a client whose octets are no LDAP. */
export function lastWords(text: string): Buffer {
  return disconnection({ code: 'protocolError', text });
}

function goOn(octets: Buffer): Answer {
  return { octets: [octets], next: 'go-on' };
}

function tagOf(operation: Operation): number {
  if (operation.kind === 'bind') return responseTag.bind;
  return operation.kind === 'other' ? operation.responseTag : responseTag.searchDone;
}

/** RFC 4511 §4.1.11. */
function unavailableControl(controls: readonly Control[]): Result | null {
  const unknown = controls.find(({ type, critical }) => critical && !HARMLESS_CONTROLS.has(type));
  if (unknown === undefined) return null;
  return {
    code: 'unavailableCriticalExtension',
    text:
      unknown.type === PAGED_RESULTS
        ? 'There are no pages here: an answer is never longer than one.'
        : 'A control that the request depends on is not known here.',
  };
}

function bindResult(bind: Extract<Operation, { kind: 'bind' }>): Result {
  const { version, hasName, mechanism, hasPassword } = bind;
  if (version !== 3) return { code: 'protocolError', text: 'Only version 3 of LDAP is spoken here.' };
  if (mechanism !== null) {
    return { code: 'authMethodNotSupported', text: 'Nobody can log in here; search without a login.' };
  }
  if (hasPassword)
    return { code: 'invalidCredentials', text: 'Nobody can log in here; search without a login.' };
  // RFC 4513 §5.1.2: a name without a password looks like a login to its user, and is none.
  if (hasName) return { code: 'unwillingToPerform', text: 'Nobody can log in here; leave the name out.' };
  return SUCCESS;
}
