import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type ForeignMessages,
  foreignAtEntry,
  isUndecided,
  readForeign,
  withFound,
  withShown,
  writeForeign,
} from '../../src/reading/foreign-messages.ts';

/** What happens to a mailbox: messages come, sessions come with or without the question, ask, and say what messages are. */
const event = fc.oneof(
  fc.record({ kind: fc.constant('comes' as const), foreign: fc.boolean() }),
  fc.record({ kind: fc.constant('enters' as const), asks: fc.boolean(), told: fc.boolean() }),
  fc.record({ kind: fc.constant('asks' as const), some: fc.nat(3), keys: fc.boolean() }),
  fc.record({ kind: fc.constant('says' as const), uid: fc.nat(40) }),
  fc.record({ kind: fc.constant('restarts' as const) }),
);

test('whatever happens, a message is what it was said to be', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 60 }), (events) => {
      const mailbox: boolean[] = [];
      const said = new Map<number, 'shell' | 'identity'>();
      let known: ForeignMessages | null = null;
      let isNew = true;
      for (const each of events) {
        switch (each.kind) {
          case 'comes':
            mailbox.push(each.foreign);
            break;
          case 'enters':
            known = foreignAtEntry(
              known,
              each.asks ? 'peek-first' : 'shell-first',
              isNew,
              each.told ? mailbox.length + 1 : null,
            );
            isNew = false;
            break;
          case 'asks': {
            if (known?.asking !== true) break;
            const { from } = known;
            const to = Math.min(from + each.some, mailbox.length + 1);
            const uids = Array.from({ length: Math.max(to - from, 0) }, (_, at) => from + at);
            const foreign = uids.filter((uid) => !each.keys && mailbox[uid - 1] === true);
            known = withFound(known, { from: to, foreign });
            break;
          }
          case 'says': {
            // Before anybody has come to it, nothing is said.
            if (isNew || each.uid === 0 || each.uid > mailbox.length) break;
            if (known !== null && isUndecided(known, each.uid)) known = withShown(known, each.uid) ?? known;
            const kind = known?.foreign.has(each.uid) === true ? 'identity' : 'shell';
            expect(said.get(each.uid) ?? kind).toBe(kind);
            said.set(each.uid, kind);
            break;
          }
          case 'restarts':
            known = known === null ? null : readForeign(writeForeign(known));
            break;
        }
      }
      for (const [uid, kind] of said) expect(known?.foreign.has(uid) === true).toBe(kind === 'identity');
    }),
    { numRuns: 2_000 },
  );
});

test('what is too much is shown opened, and what was said stays', () => {
  let known = foreignAtEntry(null, 'peek-first', true, null);
  if (known === null) throw new Error('nobody asks');
  for (let uid = 1; uid <= 2_500; uid++) known = withShown(known, uid) ?? known;
  expect(known.from).toBe(2_001);
  expect(known.shown.size).toBe(500);
  const all = Array.from({ length: 30_000 }, (_, at) => at + 1);
  const found = withFound(known, { from: 30_001, foreign: all });
  expect(found.foreign.size).toBe(10_000);
  expect([...found.foreign].every((uid) => uid > 2_500)).toBe(true);
});

test.each(['', 'on', 'on 1', 'maybe 1  ', 'on x  ', 'on 1 a b', 'on 12345678901  '])(
  'not in the grammar: %j',
  (text) => {
    expect(readForeign(text)).toBeNull();
  },
);
