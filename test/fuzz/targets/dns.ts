import { smimeaAnswer } from '../../../src/directory/smimea/answer.ts';
import { isOf, readAssociation } from '../../../src/directory/smimea/association.ts';
import { readDnsAnswer } from '../../../src/dns/message.ts';
import { correspondent } from '../../directory/correspondent.ts';
import { type FuzzTarget, holds } from '../target.ts';

const QUESTION = { name: 'a.partner.example', type: 53 };
const HEAD = '000781a00001000100000000' + '016107706172746e6572076578616d706c6500' + '00350001';
const RECORD = 'c00c003500010000012c0005' + '0300000001';
const ALIAS = 'c00c000500010000012c0004' + '0162c00e';

/** What a resolver says, and what stands in its records. */
export const dnsTargets: readonly FuzzTarget[] = [
  {
    name: 'directory-dns-answer',
    form: 'octets',
    allowed: ['dns.answer', 'dns.unanswered'],
    dictionary: [Buffer.from([0xc0, 12]), Buffer.from('00050001', 'hex'), Buffer.from([0xc0, 0x2a])],
    prepare: () => ({
      seeds: [
        Buffer.from(HEAD + RECORD, 'hex'),
        Buffer.from(HEAD.replace('00010001', '00010002') + ALIAS + RECORD.replace('c00c', 'c02f'), 'hex'),
        Buffer.from(HEAD.replace('81a00001', '81830001'), 'hex'),
      ],
      run(input) {
        const { records, timeToLive } = readDnsAnswer(input, QUESTION, 7);
        holds((timeToLive === null) === (records.length === 0), 'what is there has a time to live');
        holds(
          records.every((one) => input.includes(one)),
          'every record stands in the message',
        );
        return [records.length, timeToLive];
      },
    }),
  },
  {
    name: 'directory-smimea-record',
    form: 'octets',
    allowed: [],
    dictionary: [Buffer.from([3, 0, 0]), Buffer.from([2, 1, 1])],
    prepare: () => {
      const certificate = correspondent();
      const judgement = {
        address: 'bob@partner.example',
        at: new Date('2026-06-01T00:00:00Z'),
        postQuantum: false,
      };
      return {
        seeds: [
          Buffer.concat([Buffer.from([3, 0, 0]), certificate.der]),
          Buffer.concat([Buffer.from([2, 1, 1]), Buffer.alloc(32)]),
        ],
        run(input) {
          const association = readAssociation(input);
          const answer = smimeaAnswer(
            { records: [input], isAuthentic: true, timeToLive: 300, exists: true, canonical: null },
            { ...judgement, withoutDnssec: 'ignore', intermediates: [] },
          );
          const isNamed = association !== null && isOf(association, certificate) && input[0] === 3;
          holds(
            (answer.vouches?.(certificate) === 'verified') === isNamed,
            'only what it names is vouched for',
          );
          return [association?.usage, answer.certificates.length, answer.passedOver];
        },
      };
    },
  },
];
