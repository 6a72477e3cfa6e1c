import { resyncList } from '../../../src/imap-proxy/epoch/qresync.ts';
import {
  mayHaveCode,
  saidInCode,
  saidInStatus,
  withoutCode,
  withUidValidity,
} from '../../../src/imap-proxy/epoch/told-codes.ts';
import { toldLine } from '../../../src/pop3-proxy/told-uidl.ts';
import { type FuzzTarget, holds } from '../target.ts';

const latin1 = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text, 'latin1'));

export const imapEpochTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-told-uid-validity',
    form: 'octets',
    allowed: [],
    dictionary: [
      '[UIDVALIDITY 7]',
      '[COPYUID 7 1 2]',
      '[APPENDUID 7 1]',
      '* STATUS ',
      '{3}\r\n',
      'QRESYNC (7 1 1:2)',
    ],
    prepare: () => ({
      seeds: latin1(
        '* OK [UIDVALIDITY 7] valid\r\n',
        't OK [COPYUID 7 1:3 4:6] done\r\n',
        '* STATUS "a \\" b" (MESSAGES 3 UIDVALIDITY 7)\r\n',
        '* STATUS {3}\r\na b (UIDVALIDITY 7)\r\n',
        '(QRESYNC (8 100 1:5 (1,2 3,4)) CONDSTORE)',
        '+OK 1 abc',
      ),
      run(input) {
        const code = saidInCode(input);
        if (code !== null) {
          const told = withUidValidity(input, code, 12345);
          holds(saidInCode(told)?.uidValidity === 12345, 'what is told is read');
          holds(told.length === input.length - (code.to - code.from) + 5, 'nothing else is changed');
          holds(
            withoutCode(input, code).indexOf('[') !== code.codeFrom || input.indexOf('[', code.codeTo) !== -1,
            'the code is gone',
          );
        }
        const status = saidInStatus(input);
        if (status !== null && status !== 'unreadable') {
          const told = saidInStatus(withUidValidity(input, status, 12345));
          holds(told !== null && told !== 'unreadable', 'what is told is in the grammar');
          holds(told.uidValidity === 12345 && told.mailbox.equals(status.mailbox), 'and of the same mailbox');
        }
        const text = input.toString('latin1');
        const list = resyncList(text, (told) => (told === 8 ? 7 : null));
        holds(list === null || list === text || /QRESYNC/i.test(text), 'only QRESYNC is changed');
        holds(!/QRESYNC \(8 /i.test(list ?? '') || !/QRESYNC/i.test(text), 'what is told does not go up');
        const line = toldLine(text, 3);
        holds(line.length >= 0 && toldLine(text, 0) === text, 'without an epoch a line stays');
        return [mayHaveCode(input), list, line];
      },
    }),
  },
];
