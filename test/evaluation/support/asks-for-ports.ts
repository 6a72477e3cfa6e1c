import { freePort } from '../../../src/evaluation/free-port.ts';

// Asks for ports as another process, tells of them, and stays.
const [lowest = 0, highest = 0, count = 0] = process.argv.slice(2).map(Number);
const ports: number[] = [];
while (ports.length < count) ports.push(await freePort(lowest, highest));
process.send?.(ports);
process.on('message', () => undefined);
