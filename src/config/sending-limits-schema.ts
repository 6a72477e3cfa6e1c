import * as z from 'zod';
import { maybe } from './values.ts';

const count = (description: string, example: number) =>
  maybe(z.int().min(1).max(1_000_000).meta({ description, example }));

const bound = {
  messages: count('Messages that are accepted in `minutes`.', 500),
  recipients: count('Recipients of all those messages together.', 2_000),
  minutes: z
    .int()
    .min(1)
    .max(1_440)
    .default(60)
    .describe('The time that has just passed in which they are counted, to a twelfth of it.'),
};

const BOUNDS_NOTHING = {
  error: 'this bounds nothing: say messages or recipients, of a login also atOnce',
};

/** All but the time in which is counted. */
function boundsSomething({ minutes: _, ...counts }: Readonly<Record<string, number | null>>): boolean {
  return Object.values(counts).some((each) => each !== null);
}

/** How much clients of a listener may send. */
export const sendingLimits = maybe(
  z
    .strictObject({
      login: maybe(
        z
          .strictObject({
            ...bound,
            atOnce: count('Messages of one login at the same time, each from MAIL to its last answer.', 10),
          })
          .refine(boundsSomething, BOUNDS_NOTHING)
          .meta({
            description: 'Of one login.',
            example: { messages: 500, recipients: 2_000, minutes: 60, atOnce: 10 },
          }),
      ),
      address: maybe(
        z
          .strictObject(bound)
          .refine(boundsSomething, BOUNDS_NOTHING)
          .meta({
            description: 'Of one client address, or one /64 of IPv6, whatever its logins.',
            example: { messages: 1_000, minutes: 60 },
          }),
      ),
      network: maybe(
        z
          .strictObject(bound)
          .refine(boundsSomething, BOUNDS_NOTHING)
          .meta({
            description: 'Of one /24 of IPv4, or one /48 of IPv6, whatever its logins.',
            example: { messages: 5_000, minutes: 60 },
          }),
      ),
    })
    .meta({
      description:
        'How much clients may send, so that a password that somebody has guessed is of little use. What is too much is refused for now, before it is taken, and clients send it later; what was not accepted does not count. Addresses and networks in `unlimitedNetworks` are not bounded, their logins are. Counted by this gateway alone, and from its start.',
      example: { login: { messages: 500, recipients: 2_000, minutes: 60, atOnce: 10 } },
    }),
);
