import type { Benchmark } from '../benchmark.ts';
import { measuredCores } from './cores.ts';
import { gatewayContender, otherGateways } from './gateway.ts';
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
      ...otherGateways({ sign: false }),
      nodemailerContender(),
      postfixContender({ filter: 'none' }),
      sinkContender(),
    ],
  };
}

export function relaySigned(): Benchmark {
  const cores = measuredCores(2);
  return {
    name: 'relay-signed',
    unit: 'mail',
    about: `${ABOUT}, signed with RSA-2048; contenders have cores ${cores.join(' and ')}, the two ends the others`,
    contenders: [
      gatewayContender({ sign: true, cores }),
      ...otherGateways({ sign: true, cores }),
      postfixContender({ filter: 'openssl-cms-sign', cores }),
      opensslSpeedContender(cores),
    ],
  };
}
