import type { Benchmark } from '../benchmark.ts';
import { gatewayContender } from './gateway.ts';
import { nodemailerContender } from './nodemailer.ts';
import { opensslSpeedContender } from './openssl-speed.ts';
import { postfixContender } from './postfix.ts';
import { sinkContender } from './sink.ts';

const ABOUT = '10 KB mails, 10 persistent connections, smtp-source to smtp-sink';

export function relayPlain(): Benchmark {
  return {
    name: 'relay-plain',
    unit: 'mail',
    about: `${ABOUT}, passed on as they are`,
    contenders: [
      gatewayContender({ sign: false }),
      nodemailerContender(),
      postfixContender({ filter: 'none' }),
      sinkContender(),
    ],
  };
}

export function relaySigned(): Benchmark {
  return {
    name: 'relay-signed',
    unit: 'mail',
    about: `${ABOUT}, signed with RSA-2048`,
    contenders: [
      gatewayContender({ sign: true }),
      postfixContender({ filter: 'openssl-cms-sign' }),
      opensslSpeedContender(),
    ],
  };
}
