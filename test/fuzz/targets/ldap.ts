import { EqualityFilter, FilterParser } from 'ldapts';
import { escaped, filledIn, templateProblem } from '../../../src/directory/ldap/filter-template.ts';
import { LdapMessages } from '../../../src/directory/ldap/messages.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

const bounds = { messageOctets: 4_096, octets: 65_536, messages: 500 };

/** The messages that come, and whether it ended with an error. */
function read(pieces: readonly Buffer[]): { messages: Buffer[]; failed: boolean } {
  const one = new LdapMessages(bounds);
  const messages: Buffer[] = [];
  try {
    for (const piece of pieces) messages.push(...one.push(piece));
    return { messages, failed: false };
  } catch {
    return { messages, failed: true };
  }
}

/** What an LDAP server says, and addresses in filters. */
export const ldapTargets: readonly FuzzTarget[] = [
  {
    name: 'directory-ldap-messages',
    form: 'octets',
    allowed: [],
    dictionary: [Buffer.from([0x30, 0x84]), Buffer.from([0x30, 0x80]), Buffer.from('30050201017300', 'hex')],
    budget: { ms: 50, usPerOctet: 20 },
    prepare: () => ({
      seeds: [
        Buffer.from('300c02010178070a010004000400', 'hex'),
        Buffer.from('30050201017300'.repeat(20), 'hex'),
        Buffer.from('3084000000050201017300300c02010165070a010004000400', 'hex'),
      ],
      run(input) {
        const whole = read([input]);
        const cut = read(chunksOf(input));
        holds(whole.failed === cut.failed, 'whether it is an answer does not depend on how it comes');
        if (!whole.failed) {
          const all = Buffer.concat(whole.messages);
          holds(Buffer.concat(cut.messages).equals(all), 'the messages do not depend on how they come');
          holds(input.subarray(0, all.length).equals(all), 'nothing is added or left out');
        }
        for (const { length } of cut.messages) {
          holds(length <= bounds.messageOctets + 6, 'no message is longer than may be');
        }
        return [whole.failed, whole.messages.length];
      },
    }),
  },
  {
    name: 'directory-ldap-filter',
    form: 'octets',
    allowed: [],
    dictionary: ['*)(uid=*', '\\2a', '{address}', '(|', '(mail={address})', '\0'],
    prepare: () => ({
      seeds: ['bob@example.org', '(|(mail={address})(cn={localPart}))', '"*"@x', 'é@x'].map((text) =>
        Buffer.from(text),
      ),
      run(input) {
        const text = input.toString('utf8').slice(0, 300);
        const key = { exact: text, folded: text, domain: 'example.org' };
        const filter = FilterParser.parseString(filledIn('(mail={address})', key));
        holds(filter instanceof EqualityFilter, 'an address is one value of one comparison');
        holds(filter.attribute === 'mail' && filter.value === text, 'it is the address itself');
        holds(!/[()*\0]/.test(escaped(text)), 'nothing of it means something');
        return templateProblem(text);
      },
    }),
  },
];
