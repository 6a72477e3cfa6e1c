import { startTestProxy } from './listener.ts';

/** A proxy in a process of its own, for tests that kill it; its port is the first line that it says. */
const proxy = await startTestProxy(Number(process.argv[2]));
process.stdout.write(`${proxy.port}\n`);
