import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isOfMail } from '../../src/holding/held-rows.ts';
import { DAY_MS, startTestQueue } from '../queue/support/queue.ts';
import { type Desk, mailToHold, startDesk } from './support/desk.ts';

/** Whatever is done with a mail that waits, in whatever order and by several at once: nobody gets it twice, and nobody loses it. */

const PEOPLE = ['bob@partner.example', 'carol@partner.example', 'dan@else.example'];

const step = fc.oneof(
  fc.record({
    kind: fc.constant('know' as const),
    who: fc.constantFrom(...PEOPLE),
    is: fc.constantFrom('certificate' as const, 'away' as const, null),
  }),
  fc.record({ kind: fc.constant('look' as const), times: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    kind: fc.constant('choose' as const),
    choice: fc.constantFrom('send-signed' as const, 'wait' as const, 'discard' as const, 'release' as const),
    who: fc.option(fc.subarray(PEOPLE, { minLength: 1 })),
    operator: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('later' as const), days: fc.constantFrom(1, 8) }),
  fc.record({ kind: fc.constant('restart' as const) }),
);

test('each is in the queue as often as she has left, once at most, and her lot never changes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { minLength: 1, maxLength: 3 }), { maxLength: 6 }),
      async (rounds) => {
        const base = await startTestQueue();
        try {
          let desk: Desk = await startDesk({ queue: base });
          const [first, ...others] = PEOPLE;
          const mail = mailToHold({ to: [first ?? ''], ask: true });
          await desk.desk.hold([
            mail,
            { ...mailToHold({ to: others, terms: { rule: 'strict' } }), id: mail.id },
          ]);
          const lots = new Map<string, string>();
          for (const round of rounds) {
            // The steps of a round go on at once.
            await Promise.all(
              round.map(async (one) => {
                switch (one.kind) {
                  case 'know':
                    if (one.is === null) desk.known.delete(one.who);
                    else desk.known.set(one.who, one.is);
                    return;
                  case 'look':
                    for (const part of await desk.held.parts([isOfMail(mail.id)])) {
                      await Promise.all(Array.from({ length: one.times }, () => desk.releases.look(part)));
                    }
                    return;
                  case 'choose': {
                    const { who: recipients, operator: forSender } = one;
                    await desk.mails.choose(mail.id, one.choice, { recipients, by: 'somebody', forSender });
                    return;
                  }
                  case 'later':
                    base.time.now = new Date(base.time.now.getTime() + one.days * DAY_MS);
                    return;
                  case 'restart': {
                    const { known } = desk;
                    desk = await startDesk({ queue: base });
                    for (const [who, is] of known) desk.known.set(who, is);
                  }
                }
              }),
            );
            const found = (await desk.mails.find(mail.id))?.recipients ?? [];
            const all = await desk.queued();
            const of = (purpose: string, address: string) =>
              all.filter((one) =>
                purpose === 'report'
                  ? one.purpose === purpose && one.text.includes(`Final-Recipient: rfc822; ${address}`)
                  : one.purpose === purpose &&
                    one.recipients.some(
                      ({ recipient: { mailbox } }) => address === `${mailbox.localPart}@${mailbox.domain}`,
                    ),
              );
            expect(found.map(({ address }) => address).sort()).toEqual(PEOPLE);
            for (const { address, state } of found) {
              const before = lots.get(address);
              if (before !== undefined && before !== 'waiting') expect(state).toBe(before);
              lots.set(address, state);
              const released = of('released', address);
              expect(released.length).toBe(state === 'leaving' ? 1 : 0);
              // What its rule forbids never leaves readable.
              if (address !== first)
                expect(released.every(({ text }) => text.startsWith('ENCRYPTED FOR'))).toBe(true);
              if (state === 'expired') expect(of('report', address)).toHaveLength(1);
              if (state === 'waiting' || state === 'leaving') expect(of('report', address)).toEqual([]);
            }
            for (const part of await desk.held.parts([isOfMail(mail.id)])) {
              if (part.recipients.some(({ state }) => state === 'waiting')) await desk.held.content(part);
            }
          }
        } finally {
          await base.stop();
        }
      },
    ),
    { numRuns: 30 },
  );
});
