import type { Element } from '../../../src/asn1/element.ts';
import { children, readWhole } from '../../../src/asn1/reader.ts';
import { parseDn, relativeDn } from '../../../src/pki/dn.ts';
import { entryOf } from '../../../src/publishing/ldap/entry.ts';
import { readFilter } from '../../../src/publishing/ldap/filter.ts';
import { addressesIn, canName, match, prepared } from '../../../src/publishing/ldap/matching.ts';
import { messageLength } from '../../../src/publishing/ldap/message-length.ts';
import { readRequest } from '../../../src/publishing/ldap/request.ts';
import {
  bind,
  control,
  extended,
  filters as f,
  message,
  START_TLS,
  saslBind,
  search,
  unbind,
} from '../../publishing/ldap/requests.ts';
import { own, peopleOf } from '../../publishing/people.ts';
import { type FuzzTarget, holds } from '../target.ts';

const FILTERS = [
  f.equal('mail', 'alice@example.org'),
  f.and(f.present('mail'), f.or(f.like('cn', 'al*ce*e'), f.not(f.approx('sn', 'able')))),
  f.or(f.like('mail', '*alice*'), f.extensible('2.5.13.2', 'x'), f.atLeast('cn', 'a')),
  f.not(f.not(f.present('userCertificate;binary'))),
];

/** What LDAP clients say, and what their filters find. */
export const publishingTargets: readonly FuzzTarget[] = [
  {
    name: 'publishing-ldap-request',
    form: 'tlv',
    allowed: ['publishing.ldap-protocol'],
    dictionary: [Buffer.from([0x30, 0x80]), Buffer.from('020101', 'hex'), START_TLS],
    prepare: () => ({
      seeds: [
        message(1, bind()),
        message(2, saslBind('GSSAPI')),
        message(3, extended(START_TLS)),
        message(4, unbind),
        ...FILTERS.map((filter, i) =>
          message(5 + i, search({ filter, attributes: ['cn', '1.1'] }), control('1.2.3', true)),
        ),
      ],
      run(input) {
        const length = messageLength(input);
        const request = readRequest(input);
        holds(length === input.length, 'a request that is read is as long as its beginning says');
        holds(request.messageId >= 0 && request.messageId < 2 ** 31, 'the number of a message is in bounds');
        if (request.operation.kind === 'search') {
          const { filter, attributes } = request.operation;
          holds(attributes.length <= 200, 'attributes are bounded');
          return [request.operation.kind, JSON.stringify(filter)];
        }
        return JSON.stringify(request);
      },
    }),
  },
  {
    name: 'publishing-ldap-filter',
    form: 'tlv',
    allowed: ['publishing.ldap-protocol', 'asn1.malformed'],
    dictionary: ['alice', 'example.org', 'cn', 'mail', '*', '@'],
    budget: { ms: 50, usPerOctet: 5 },
    prepare: () => {
      const people = peopleOf([own({ address: 'alice@example.org', cn: 'Alice Able' })]);
      const entries = people.all.map((person) => entryOf(person, 'dc=example,dc=org'));
      return {
        seeds: FILTERS,
        run(input) {
          const filter = readFilter(readWhole(input, 'BER'));
          const [exactly, nearly] = [prepared(filter, { letters: null }), prepared(filter, { letters: 3 })];
          const addresses = addressesIn(nearly);
          const found = entries.map((entry) => {
            const exact = match(exactly, entry);
            const near = match(nearly, entry);
            const mail = entry.compared.get('mail')?.[0] ?? '';
            holds(
              near.holds !== true || addresses?.includes(mail) !== false,
              'who is found has one of the addresses',
            );
            holds(exact.holds === near.holds, 'what holds does not depend on who is named');
            holds(!near.names || near.holds === true, 'who is named is found');
            holds(!exact.names || near.names, 'a whole address names in any case');
            holds(!near.names || canName(nearly), 'nobody is named by a filter that names nobody');
            if (near.names) {
              const said = strings(readWhole(input, 'BER')).map((text) =>
                text.normalize('NFKC').toLowerCase(),
              );
              const three = /[a-z]{3}/;
              holds(
                said.some((text) => three.test(text)),
                'nobody is found by less than three letters',
              );
            }
            return [near.holds, near.names];
          });
          return JSON.stringify(found);
        },
      };
    },
  },
  {
    name: 'publishing-ldap-dn',
    form: 'octets',
    allowed: [],
    dictionary: ['dc=', ',', '+', '\\2c', '\\,', 'mail=', '"', ' '],
    prepare: () => ({
      seeds: ['dc=example,dc=org', 'mail=a\\+b@x,ou=X + cn=y', ' cn = x\\20 ,o=\\e4\\b8\\ad', '#'].map(
        (text) => Buffer.from(text),
      ),
      run(input) {
        const text = input.toString('utf8').slice(0, 2_000);
        const written = relativeDn('mail', text);
        const read = parseDn(`${written},dc=example,dc=org`);
        if (text.isWellFormed() && !text.includes('\uFFFD')) {
          holds(read?.length === 3, 'a value is one relative name, whatever is in it');
          holds(parseDn(written)?.[0] === read[0], 'it is the same alone');
        }
        return parseDn(text);
      },
    }),
  },
];

/** Everything in the input that could be a text. */
function strings(element: Element): string[] {
  if (!element.constructed) return [element.content.toString('utf8')];
  return children(element, 'BER').flatMap(strings);
}
