import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { ControlReader } from '../../../src/hsm/wire/control-frames.ts';
import type { Authority } from './authority.ts';

const wire = (file: string): string =>
  JSON.stringify(new URL(`../../../src/hsm/wire/${file}`, import.meta.url).href);

export type Impostor = {
  program: URL;
  /** How many processes were started. */
  starts(): number;
  /** Everything that was sent to them on the control pipe, in order. */
  received(): unknown[];
};

/**
 * A program in the place of the key process, which does what a vendor module that has taken it over might do.
 *
 * @param onMessage what it does with a control message: `message`, `send(message)`, `raw(octets)`, `start` (counted from 1)
 * @param onRequest what it does with a request: `request`, `reply(octets)`, `refuse(failure)`, `rawReply(octets)`
 */
export function impostor(authority: Authority, name: string, onMessage: string, onRequest = ''): Impostor {
  const file = authority.path(`${name}.mjs`);
  const starts = authority.path(`${name}.starts`);
  const received = authority.path(`${name}.received`);
  writeFileSync(starts, '');
  writeFileSync(received, '');
  writeFileSync(
    file,
    `import { appendFileSync, readFileSync } from 'node:fs';
     import { Socket } from 'node:net';
     import { FrameReader } from ${wire('frames.ts')};
     import { controlFrame, ControlReader } from ${wire('control-frames.ts')};
     import { answerFrame, readRequest } from ${wire('operation-frames.ts')};
     appendFileSync(${JSON.stringify(starts)}, 'x');
     const start = readFileSync(${JSON.stringify(starts)}).length;
     const key = '0'.repeat(64);
     const token = { label: 'office', serial: '1', model: 'm', manufacturer: 'f', reader: 'r', pin: 'fine' };
     const description = { key, label: 'l', id: '', certificate: Buffer.alloc(1), schemes: [], opens: ['agree'], alwaysAuthenticate: false };
     const inventory = { token, keys: [description], certificates: [], seen: 'after-login' };
     const failure = (code, duration = 'temporary') => ({ code, publicText: 'What ' + code + ' says.', duration, reason: 'r', sessionLost: true });
     const control = new Socket({ fd: 3, readable: true, writable: true });
     const raw = (octets) => control.write(octets);
     const send = (message) => raw(controlFrame(message));
     const open = () => send({ kind: 'opened', inventory });
     const reader = new ControlReader();
     control.on('data', (chunk) => {
       appendFileSync(${JSON.stringify(received)}, chunk);
       for (const message of reader.push(chunk)) { ${onMessage} }
     });
     control.on('close', () => process.exit());
     control.on('error', () => process.exit());
     const session = new Socket({ fd: 4, readable: true, writable: true });
     const requests = new FrameReader(100_000_000);
     const rawReply = (octets) => session.write(octets);
     session.on('error', () => process.exit());
     session.on('data', (chunk) => {
       for (const frame of requests.push(chunk)) {
         const request = readRequest(frame);
         const reply = (octets) => rawReply(answerFrame({ id: request.id, octets: Buffer.from(octets) }));
         const refuse = (why) => rawReply(answerFrame({ id: request.id, failure: why }));
         ${onRequest}
       }
     });`,
  );
  return {
    program: pathToFileURL(file),
    starts: () => readFileSync(starts).length,
    received: () => new ControlReader().push(readFileSync(received)) ?? [],
  };
}
