import { storeValues } from '../../../src/directory/http-store/answer.ts';
import { correspondent } from '../../directory/correspondent.ts';
import { type FuzzTarget, holds } from '../target.ts';

const PART = '--b\r\nContent-Type: application/pkix-cert\r\n';

/** What a certificate store gives in parts. */
export const httpStoreTargets: readonly FuzzTarget[] = [
  {
    name: 'directory-http-store',
    form: 'octets',
    allowed: ['directory.http-answer'],
    dictionary: ['--b', '--b--', 'Content-Transfer-Encoding: base64\r\n', '\r\n\r\n'],
    prepare: () => {
      const { der } = correspondent();
      const end = Buffer.from('\r\n--b--\r\n');
      return {
        seeds: [
          Buffer.concat([Buffer.from(`${PART}\r\n`), der, end]),
          Buffer.from(
            `${PART}Content-Transfer-Encoding: base64\r\n\r\n${der.toString('base64')}${end.toString('latin1')}`,
          ),
          Buffer.concat([Buffer.from(`${PART}\r\n`), der, Buffer.from(`\r\n${PART}\r\n`), der, end]),
        ],
        run(input) {
          const values = storeValues('multipart/mixed; boundary=b', input);
          holds(values.length > 0, 'an answer has a value');
          const octets = values.reduce((sum, { length }) => sum + length, 0);
          holds(octets <= input.length, 'nothing is added');
          return values.length;
        },
      };
    },
  },
];
