import { readDnsAnswer } from '../../../src/dns/message.ts';
import { exchangers, readMailExchanger } from '../../../src/routing/mail-exchangers.ts';
import { isNamedBy, readStsPolicy } from '../../../src/routing/sts-policy.ts';
import { stsPolicyId, textOf } from '../../../src/routing/sts-record.ts';
import { mxRecord, txtRecord } from '../../routing/support/records.ts';
import { type FuzzTarget, holds } from '../target.ts';

/** What domains say of their mail servers. */
export const routingTargets: readonly FuzzTarget[] = [
  {
    name: 'routing-sts-policy',
    form: 'lines',
    allowed: [],
    dictionary: [
      'version: STSv1',
      'mode: enforce',
      'mode: testing',
      'mx: *.',
      'max_age: ',
      '\r\n',
      '\n',
      ':',
    ],
    prepare: () => ({
      seeds: [
        'version: STSv1\r\nmode: enforce\r\nmx: mail.example\r\nmx: *.mx.example\r\nmax_age: 604800\r\n',
        'version: STSv1\nmode: none\nmax_age: 1\nsome-thing: else\n',
      ].map((text) => Buffer.from(text)),
      run(input) {
        const policy = readStsPolicy(input);
        if (policy === null) return null;
        holds(
          policy.mode === 'none' || policy.mx.length > 0,
          'a policy that asks for something names somebody',
        );
        holds(policy.maxAgeSeconds >= 0 && policy.maxAgeSeconds <= 31_557_600, 'no policy is for ever');
        for (const name of policy.mx) {
          const host = name.replace('*', 'host');
          holds(isNamedBy(policy, host), 'who is named is named');
          holds(/^[a-z0-9.-]+$/.test(host), 'a name is one');
        }
        return policy;
      },
    }),
  },
  {
    name: 'routing-sts-record',
    form: 'octets',
    allowed: [],
    dictionary: ['v=STSv1', 'id=', ';', ' '],
    prepare: () => ({
      seeds: [txtRecord('v=STSv1; id=20160831085700Z;'), txtRecord('v=STSv1;x=y ; id=1', 4)],
      run(input) {
        const id = stsPolicyId([input]);
        holds(id === null || /^[A-Za-z0-9]{1,32}$/.test(id), 'an id is one');
        holds(id === null || textOf(input)?.includes(id) === true, 'it stands there');
        holds(stsPolicyId([input, input]) === null, 'of two records none counts');
        return id;
      },
    }),
  },
  {
    name: 'routing-mail-exchanger',
    form: 'octets',
    allowed: ['dns.answer', 'dns.unanswered'],
    dictionary: [Buffer.from([0xc0, 12]), Buffer.from('000f0001', 'hex')],
    prepare: () => {
      const question = Buffer.from('0178076578616d706c6500000f0001', 'hex');
      const record = Buffer.from('c00c000f00010000012c0007000a026d78c00c', 'hex');
      const head = Buffer.from('000781a00001000100000000', 'hex');
      return {
        seeds: [Buffer.concat([head, question, record]), mxRecord(10, 'mx.example')],
        run(input) {
          const alone = readMailExchanger(input);
          const { records } = readDnsAnswer(input, { name: 'x.example', type: 15 }, 7);
          const found = exchangers(records, { ownNames: ['mx.x.example'], random: () => 0.5 });
          if (found.kind === 'hosts') {
            holds(found.names.length > 0 && found.names.length <= 10, 'hosts are some, and not many');
            holds(!found.names.includes('mx.x.example'), 'nobody hands on to himself');
            holds(
              found.names.every((name) => /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(name)),
              'a name is one',
            );
          }
          return [alone, found];
        },
      };
    },
  },
];
