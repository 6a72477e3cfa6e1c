import { type Element, isUniversal, universal } from '../../asn1/element.ts';
import { readWhole } from '../../asn1/reader.ts';
import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { Fields, implicitOctets } from './fields.ts';
import { attributeName, type Filter, readFilter, utf8 } from './filter.ts';
import { protocolFault } from './protocol-fault.ts';

/** A request (RFC 4511 §4.1.1). */
export type Request = {
  messageId: number;
  operation: Operation;
  controls: readonly Control[];
};

export type Operation =
  /** `mechanism` null: simple. What is a password is not kept, only whether there was one. */
  | { kind: 'bind'; version: number; hasName: boolean; mechanism: string | null; hasPassword: boolean }
  | { kind: 'unbind' }
  | SearchRequest
  | { kind: 'abandon' }
  | { kind: 'extended'; name: string }
  /** Of those that change something, or compare: with the tag of their answer. */
  | { kind: 'other'; responseTag: number };

export type SearchRequest = {
  kind: 'search';
  /** null: it is no text. */
  base: string | null;
  scope: 'base' | 'one' | 'sub';
  /** 0: the client has none. */
  sizeLimit: number;
  typesOnly: boolean;
  filter: Filter;
  /** In lower case. */
  attributes: readonly string[];
};

export type Control = { type: string; critical: boolean };

/** APPLICATION tags of requests (RFC 4511 §4.2 - §4.14). */
const BIND = 0;
const UNBIND = 2;
const SEARCH = 3;
const ABANDON = 16;
const EXTENDED = 23;
/** modify, add, del, modifyDN, compare, each with the tag of its answer. */
const OTHERS: ReadonlyMap<number, number> = new Map([
  [6, 7],
  [8, 9],
  [10, 11],
  [12, 13],
  [14, 15],
]);
const SCOPES = ['base', 'one', 'sub'] as const;

/**
 * Reads one LDAPMessage, whole.
 *
 * @throws SealgateError `publishing.ldap-protocol`
 */
export function readRequest(octets: Buffer): Request {
  try {
    const whole = readWhole(octets, 'BER');
    if (!isUniversal(whole, universal.sequence)) throw protocolFault('what came is no LDAP message');
    const message = new Fields(whole);
    const messageId = message.natural('messageID');
    const operation = readOperation(message.any('protocolOp'));
    const controls = message.optionalContext(0);
    return { messageId, operation, controls: controls === null ? [] : readControls(controls) };
  } catch (error) {
    if (!(error instanceof SealgateError) || error.code !== 'asn1.malformed') throw error;
    throw protocolFault(error.reason ?? 'it is no BER', error);
  }
}

function readOperation(element: Element): Operation {
  if (element.tagClass !== 'application') throw protocolFault('an operation of an unknown kind');
  switch (element.tag) {
    case BIND:
      return readBind(new Fields(element));
    case UNBIND:
      return { kind: 'unbind' };
    case SEARCH:
      return readSearch(new Fields(element));
    case ABANDON:
      return { kind: 'abandon' };
    case EXTENDED: {
      const name = new Fields(element).optionalContext(0);
      if (name === null) throw protocolFault('an extended request without a name');
      return { kind: 'extended', name: implicitOctets(name).toString('latin1') };
    }
    default: {
      const responseTag = OTHERS.get(element.tag);
      if (responseTag === undefined) throw protocolFault('an operation of an unknown kind');
      return { kind: 'other', responseTag };
    }
  }
}

function readBind(bind: Fields): Operation {
  const version = bind.natural('version');
  const hasName = bind.octets('name').length > 0;
  const simple = bind.optionalContext(0);
  if (simple !== null) {
    return {
      kind: 'bind',
      version,
      hasName,
      mechanism: null,
      hasPassword: implicitOctets(simple).length > 0,
    };
  }
  const sasl = bind.optionalContext(3);
  const mechanism = sasl === null ? '' : new Fields(sasl).octets('mechanism').toString('latin1');
  return { kind: 'bind', version, hasName, mechanism, hasPassword: false };
}

function readSearch(search: Fields): SearchRequest {
  const base = utf8(search.octets('baseObject'));
  const scope = SCOPES[search.enumerated('scope')];
  if (scope === undefined) throw protocolFault('a scope that is not known');
  // An alias is nowhere here.
  search.enumerated('derefAliases');
  const sizeLimit = search.natural('sizeLimit');
  search.natural('timeLimit');
  const typesOnly = search.boolean('typesOnly');
  const filter = readFilter(search.any('filter'));
  const attributes: string[] = [];
  for (const selection = search.sequence('attributes'); !selection.atEnd; ) {
    if (attributes.length >= limits.publishing.attributes) throw protocolFault('too many attributes');
    attributes.push(attributeName(selection.octets('an attribute')));
  }
  return { kind: 'search', base, scope, sizeLimit, typesOnly, filter, attributes };
}

function readControls(element: Element): Control[] {
  const controls: Control[] = [];
  for (const all = new Fields(element); !all.atEnd; ) {
    if (controls.length >= limits.publishing.controls) throw protocolFault('too many controls');
    const control = all.sequence('a control');
    const type = control.octets('controlType').toString('latin1');
    controls.push({ type, critical: control.optionalBoolean() ?? false });
    control.optionalOctets();
  }
  return controls;
}
