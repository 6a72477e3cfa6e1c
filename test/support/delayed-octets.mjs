// For `npm run test:delayed`, before anything else in each process: what sockets and pipes bring comes later than it came, by chance and
// in its order. A test that takes for granted who is first, or how soon, fails by that.

import { Socket } from 'node:net';

const MOST_MS = Number(process.env.SEALGATE_TEST_DELAY_MS ?? 15);

// Fake timers of tests must not hold the octets.
const later = setTimeout;
const { push, destroy } = Socket.prototype;
/** What has come of each socket and waits: octets, null for the end, or the error that ends it. */
const waiting = new WeakMap();

Socket.prototype.push = function delayed(octets, encoding) {
  take(this, { octets, encoding });
  // One piece at a time: a reader that is slow still holds its peer back.
  return false;
};

Socket.prototype.destroy = function delayedEnd(error, ...more) {
  // As if it had been read in time, what came before a reset is heard.
  const isReset = error?.syscall === 'read' || error?.syscall === 'write';
  if (!isReset || !waiting.has(this)) return destroy.call(this, error, ...more);
  take(this, { error });
  return this;
};

function take(socket, event) {
  const events = waiting.get(socket) ?? [];
  events.push(event);
  if (events.length > 1) return;
  waiting.set(socket, events);
  wait(socket, events);
}

function wait(socket, events) {
  // Mostly a little.
  later(
    () => {
      const goesOn = bring(socket, events[0]);
      events.shift();
      if (events.length > 0) return wait(socket, events);
      waiting.delete(socket);
      if (goesOn) readOn(socket);
    },
    Math.random() ** 3 * MOST_MS,
  );
}

/** Whether its reader wants more. */
function bring(socket, { octets, encoding, error }) {
  if (socket.destroyed) return false;
  if (error !== undefined) {
    destroy.call(socket, error);
    return false;
  }
  const goesOn = push.call(socket, octets, encoding);
  if (octets === null) socket.read(0);
  return goesOn && octets !== null;
}

function readOn(socket) {
  const handle = socket._handle;
  if (!handle || handle.reading) return;
  handle.reading = true;
  handle.readStart();
}
