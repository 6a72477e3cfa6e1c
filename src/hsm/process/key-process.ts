import { flushCompileCache } from 'node:module';
import { KEY_PROCESS } from '../wire/pipes.ts';
import { endProcess } from './end-process.ts';
import { Leader } from './leader.ts';
import { SessionThreads, type SessionThreadsEvents } from './session-threads.ts';

/**
 * The key process: started by client/key-client.ts, one for each place of keys, holding one PKCS#11 module and its PIN, or the
 * keys of one file or store.
 *
 * Its main thread never calls the module, so it always notices that the gateway is gone and ends, whatever the
 * module is doing. Anything unexpected ends the process: the gateway starts a new one, and only the requests that were here are
 * lost.
 *
 * Threads are started before anything else is loaded: a process that takes the place of one that has died is in service the sooner.
 */
async function run(kind: 'token' | 'software'): Promise<void> {
  const events: SessionThreadsEvents = { serving: noBody, over: noBody, defect: endProcess };
  const leader = kind === 'token' ? new Leader(() => events.defect()) : null;
  const threads = new SessionThreads(kind, events);
  const { ControlChannel } = await import('./control-channel.ts');
  const channel = new ControlChannel();
  // Ctrl-C in a terminal reaches the whole group; the gateway decides when its keys go.
  process.on('SIGINT', noBody);
  process.on('SIGTERM', noBody);
  if (leader !== null) {
    const { TokenPlace } = await import('./token-place.ts');
    new TokenPlace({ channel, leader, threads, events }).listen();
  } else {
    const { SoftwarePlace } = await import('./software-place.ts');
    new SoftwarePlace({ channel, threads, events }).listen();
  }
  flushCompileCache();
}

function noBody(): void {
  // Before the place is there, nobody wants to know.
}

const [, , mark, kind] = process.argv;
if (mark === KEY_PROCESS && (kind === 'token' || kind === 'software')) await run(kind);
