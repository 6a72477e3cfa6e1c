import { describe, expect, test } from 'vitest';
import { GivenEntries } from '../../../src/publishing/ldap/given-entries.ts';
import type { SearchRequest } from '../../../src/publishing/ldap/request.ts';
import { readRequest } from '../../../src/publishing/ldap/request.ts';
import { PublishedSearch, type SearchSettings } from '../../../src/publishing/ldap/search.ts';
import { own, peopleOf, standingOf } from '../people.ts';
import { filters as f, message, type SearchParts, search } from './requests.ts';

const BASE = 'dc=example,dc=org';
const alice = own({ address: 'alice@example.org', cn: 'Alice Able', sn: 'Able', givenName: 'Alice' });
const albert = own({ address: 'albert@example.org', cn: 'Albert Example' });
const plain = own({ address: 'a+b__c_=_d@example.org' });

const FACTS = { extensions: ['1.3.6.1.4.1.1466.20037'], vendor: 'Sealgate' };

function answerer(changed: Partial<SearchSettings> = {}, people = peopleOf([alice, albert, plain])) {
  const found = new PublishedSearch(people, {
    base: BASE,
    naming: { letters: 3 },
    maxResults: 25,
    ...changed,
  });
  return async (parts: SearchParts, perHour = Number.POSITIVE_INFINITY) => {
    const client = new GivenEntries(perHour).of('192.0.2.1');
    const { operation } = readRequest(message(1, search(parts)));
    const { entries, result } = await found.answer(operation as SearchRequest, FACTS, client);
    const who = entries.map(({ dn, attributes }) => ({
      dn,
      values: Object.fromEntries(attributes.map(({ type, values }) => [type, values.map(String)])),
      types: attributes.map(({ type }) => type),
    }));
    return { who, code: result.code, text: result.text };
  };
}

const ask = answerer();
const mails = async (filter: Buffer, asked = ask) => {
  const { who, code } = await asked({ filter });
  return code === 'success' ? who.map(({ values }) => values.mail?.[0]) : code;
};
const ALICE = 'alice@example.org';

describe('the filters that address books send find a person', () => {
  const v = 'alic';
  test.each<[string, Buffer]>([
    [
      'Thunderbird',
      f.or(
        f.like('mail', `*${v}*`),
        f.like('cn', `*${v}*`),
        f.like('givenname', `*${v}*`),
        f.like('sn', `*${v}*`),
      ),
    ],
    ['Thunderbird, for a certificate', f.or(f.equal('mail', ALICE))],
    [
      'Outlook',
      f.and(
        f.present('mail'),
        f.or(
          f.like('mail', `${v}*`),
          f.or(f.like('cn', `${v}*`), f.or(f.like('sn', `${v}*`), f.like('displayName', `${v}*`))),
        ),
      ),
    ],
    [
      'Apple',
      f.and(
        f.or(f.equal('objectclass', 'person'), f.equal('objectclass', 'groupOfNames'), f.present('mail')),
        f.or(f.like('cn', `*${v}*`), f.like('mail', `${v}*`), f.like('uid', `${v}*`)),
      ),
    ],
    ['Evolution', f.and(f.present('mail'), f.or(f.like('fileAs', `*${v}*`), f.like('cn', `*${v}*`)))],
    ['gpgsm', f.or(f.like('sn', `*${v}*`), f.or(f.like('cn', `*${v}*`), f.like('mail', `*${v}*`)))],
    ['another gateway', f.equal('mail', ALICE)],
    ['by the number of the attribute', f.equal('0.9.2342.19200300.100.1.3', ALICE)],
    ['without regard to letter case', f.equal('MAIL', 'ALICE@Example.ORG')],
    ['by likeness', f.approx('cn', 'alice  able')],
    ['who has a certificate', f.and(f.present('userCertificate;binary'), f.equal('rfc822Mailbox', ALICE))],
    [
      'who is not somebody else',
      f.and(f.like('mail', 'al*ice@*'), f.not(f.equal('mail', 'albert@example.org'))),
    ],
  ])('%s', async (_, filter) => {
    expect(await mails(filter)).toEqual([ALICE]);
  });

  test('with internationalised domains in both forms, and letters in both forms', async () => {
    const asked = answerer({}, peopleOf([own({ address: 'zoe@xn--mller-kva.example', cn: 'Zoë Müller' })]));
    expect(await mails(f.equal('mail', 'zoe@müller.example'), asked)).toHaveLength(1);
    expect(await mails(f.equal('mail', 'zoe@xn--mller-kva.example'), asked)).toHaveLength(1);
    expect(await mails(f.like('cn', '*MU\u0308LLER*'), asked)).toHaveLength(1);
  });
});

describe('three values of logic (RFC 4511 §4.5.1.7)', () => {
  const yes = f.equal('mail', ALICE);
  const no = f.equal('cn', 'nobody');
  const open = f.equal('x-unknown', 'x');
  test.each<[string, Buffer, number]>([
    ['unknown or true', f.or(open, yes), 1],
    ['unknown and true', f.and(open, yes), 0],
    ['not unknown, and true', f.and(f.not(open), yes), 0],
    ['unknown and false, negated', f.and(yes, f.not(f.and(open, no))), 1],
    ['unknown or false, negated', f.and(yes, f.not(f.or(open, no))), 0],
    ['nothing to fulfil (RFC 4526)', f.and(yes, f.and()), 1],
    ['no alternative (RFC 4526)', f.and(yes, f.or()), 0],
    ['an order that names do not have', f.and(yes, f.atLeast('cn', 'a')), 0],
    ['a matching rule', f.and(yes, f.not(f.extensible('2.5.13.2', 'x'))), 0],
    ['pieces in order', f.like('cn', 'ali*e*ab*le'), 1],
    ['pieces that would have to overlap', f.and(yes, f.like('cn', 'alice able*able')), 0],
  ])('%s', async (_, filter, count) => {
    expect(await mails(filter)).toHaveLength(count);
  });
});

describe('nobody is found who is not named', () => {
  const refused = 'adminLimitExceeded';
  test.each<[string, Buffer]>([
    ['everybody', f.present('objectClass')],
    ['everybody with an address', f.present('mail')],
    ['all people', f.equal('objectClass', 'person')],
    ['one letter', f.like('cn', 'a*')],
    ['two letters and signs', f.like('mail', '*a-.l*')],
    ['single letters', f.like('cn', '*a*l*i*c*e*')],
    ['the domain that all have', f.like('mail', '*@example.org')],
    ['letters of the class', f.like('objectClass', '*person*')],
    ['all but one', f.not(f.equal('mail', 'albert@example.org'))],
    ['all but those that begin so', f.and(f.present('mail'), f.not(f.like('mail', 'alice*')))],
  ])('%s', async (_, filter) => {
    expect(await mails(filter)).toBe(refused);
  });

  test.each<[string, Buffer]>([
    ['a name beside an alternative that all fulfil', f.or(f.present('mail'), f.like('cn', '*alice*'))],
    ['a domain beside it', f.or(f.like('mail', '*example*'), f.like('cn', 'alice*'))],
  ])('%s finds that one only', async (_, filter) => {
    expect(await mails(filter)).toEqual([ALICE]);
  });

  test('nor by the domain where a name is an address, as it is where a certificate says no other', async () => {
    const mailboxes = answerer({}, peopleOf([plain, own({ address: ALICE, cn: ALICE }), albert]));
    for (const attribute of ['cn', 'sn', 'displayName']) {
      expect(await mails(f.like(attribute, '*example.org'), mailboxes)).toEqual([]);
      expect(await mails(f.like(attribute, '*@example.org'), mailboxes)).toBe(refused);
      expect(await mails(f.like(attribute, 'a*@example.org'), mailboxes)).toBe(refused);
      expect(await mails(f.like(attribute, 'alice@exam*'), mailboxes)).toEqual([ALICE]);
    }
  });

  test('and a refusal does not depend on who there is', async () => {
    const nobody = answerer({}, peopleOf([]));
    for (const filter of [f.like('cn', 'a*'), f.like('cn', 'x*'), f.present('mail')]) {
      expect((await nobody({ filter })).text).toBe((await ask({ filter })).text);
    }
  });

  test('by whole addresses alone, where nothing else is wanted', async () => {
    const exact = answerer({ naming: { letters: null } });
    expect(await mails(f.equal('mail', ALICE), exact)).toEqual([ALICE]);
    expect(await mails(f.and(f.like('cn', 'Alice*'), f.equal('mail', ALICE)), exact)).toEqual([ALICE]);
    expect(await mails(f.or(f.like('cn', 'Alb*'), f.equal('mail', ALICE)), exact)).toEqual([ALICE]);
    for (const filter of [f.like('mail', 'alice@example.or*'), f.equal('cn', 'Alice Able')]) {
      expect(await mails(filter, exact)).toBe(refused);
    }
  });

  test('never more than the limit, the client\u2019s or the server\u2019s, with the first of them', async () => {
    const filter = f.or(f.like('mail', 'alice*'), f.like('mail', 'alb*'));
    const both = answerer({}, peopleOf([alice, own({ address: 'bob@example.org', cn: 'Bob Able' })]));
    const one = await ask({ filter, sizeLimit: 1 });
    expect(one).toMatchObject({
      code: 'sizeLimitExceeded',
      who: [{ values: { mail: ['albert@example.org'] } }],
    });
    expect(await answerer({ maxResults: 1 })({ filter, sizeLimit: 9 })).toMatchObject({
      code: 'sizeLimitExceeded',
      who: [{}],
    });
    expect(await ask({ filter, sizeLimit: 2 })).toMatchObject({ code: 'success', who: [{}, {}] });
    expect(await ask({ filter: f.like('cn', 'al*ble*') }, 1)).toMatchObject({ code: 'success', who: [{}] });
    expect(await both({ filter: f.like('cn', '*able*') }, 1)).toMatchObject({ code: 'busy', who: [{}] });
    expect(await ask({ filter }, 1)).toMatchObject({ code: 'busy', who: [] });
    expect(await ask({ filter }, 0)).toMatchObject({ code: 'busy', who: [] });
    expect(await ask({ filter: f.equal('mail', 'nobody@example.org') }, 0)).toMatchObject({ code: 'busy' });
  });
});

describe('an entry', () => {
  const filter = f.equal('mail', ALICE);

  test('is an inetOrgPerson with the certificates', async () => {
    const { who } = await ask({ filter });
    expect(who).toEqual([
      {
        dn: `mail=alice@example.org,${BASE}`,
        types: ['objectClass', 'cn', 'sn', 'givenName', 'displayName', 'mail', 'userCertificate;binary'],
        values: expect.objectContaining({
          objectClass: ['top', 'person', 'organizationalPerson', 'inetOrgPerson'],
          cn: ['Alice Able'],
          sn: ['Able'],
          givenName: ['Alice'],
          'userCertificate;binary': [String(alice.certificate.der)],
        }),
      },
    ]);
  });

  test.each<[string[], string[]]>([
    [['userCertificate'], ['userCertificate;binary']],
    [
      ['usercertificate;BINARY', 'mail'],
      ['mail', 'userCertificate;binary'],
    ],
    [['1.1'], []],
    [['+'], []],
    [
      ['*', 'x'],
      ['objectClass', 'cn', 'sn', 'givenName', 'displayName', 'mail', 'userCertificate;binary'],
    ],
    [['userPassword'], []],
  ])('has what is asked for: %j', async (attributes, types) => {
    expect((await ask({ filter, attributes })).who[0]?.types).toEqual(types);
  });

  test('has no values where only types are wanted', async () => {
    const { who } = await ask({ filter, typesOnly: true, attributes: ['mail'] });
    expect(who[0]?.values).toEqual({ mail: [] });
  });

  test('has a name of its own where the certificate says none', async () => {
    const { who } = await ask({ filter: f.equal('mail', plain.address) });
    expect(who[0]?.values.cn).toEqual([plain.address]);
    expect(who[0]?.dn).toBe(`mail=a\\+b__c_\\=_d@example.org,${BASE}`);
  });

  test('is found by its distinguished name, however that is written', async () => {
    for (const base of [
      `mail=alice@example.org,${BASE}`,
      'RFC822Mailbox = ALICE@example.org , DC=Example,0.9.2342.19200300.100.1.25=org',
      `mail=alice\\40example.org,${BASE}`,
    ]) {
      expect((await ask({ base, scope: 0 })).who).toHaveLength(1);
    }
    const { who } = await ask({ base: `mail=a\\+b__c_\\3d_d@example.org,${BASE}`, scope: 2 });
    expect(who).toHaveLength(1);
    // Whether it is there is not told in passing.
    const [there, not] = [`mail=alice@example.org,${BASE}`, `mail=nobody@example.org,${BASE}`];
    const missing = { who: [], code: 'noSuchObject', text: 'There is no such entry.' };
    expect(await ask({ base: there, scope: 0, filter: f.equal('cn', 'x') })).toEqual(missing);
    expect(await ask({ base: not, scope: 0 })).toEqual(missing);
  });

  test('is not there once its certificate is revoked', async () => {
    const standing = standingOf(new Set([alice.certificate.fingerprint]));
    expect(await mails(filter, answerer({}, peopleOf([alice], { standing })))).toEqual([]);
  });
});

describe('the search base', () => {
  const filter = f.equal('mail', ALICE);
  test.each<[string, number, string]>([
    [BASE, 2, 'success'],
    [BASE, 1, 'success'],
    // Address books without one.
    ['', 2, 'success'],
    ['dc=org', 2, 'noSuchObject'],
    ['ou=x,dc=example,dc=org', 2, 'noSuchObject'],
    [`cn=x,mail=alice@example.org,${BASE}`, 0, 'noSuchObject'],
    [`mail=alice@example.org,${BASE}`, 1, 'noSuchObject'],
    ['alice', 2, 'invalidDNSyntax'],
    ['dc=example\\', 2, 'invalidDNSyntax'],
    ['dc="x",dc=org', 2, 'invalidDNSyntax'],
  ])('%j with scope %i: %s', async (base, scope, code) => {
    const answer = await ask({ base, scope, filter });
    expect(answer.code).toBe(code);
    expect(answer.who).toHaveLength(code === 'success' ? 1 : 0);
  });

  test('is told by the root, and is an entry', async () => {
    const root = await ask({ base: '', scope: 0, attributes: ['namingContexts', '+'] });
    expect(root.who[0]?.values).toMatchObject({ namingContexts: [BASE], supportedLDAPVersion: ['3'] });
    expect((await ask({ base: BASE, scope: 0 })).who[0]).toMatchObject({
      dn: BASE,
      values: { dc: ['example'] },
    });
  });
});
