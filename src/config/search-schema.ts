import * as z from 'zod';

/** `search` of an IMAP listener. */
export const searchSettings = z
  .strictObject({
    in: z
      .enum(['opened', 'all'])
      .default('opened')
      .describe(
        'Which decrypted mails a search looks into. `opened`: those that were opened in the same session. `all`: also those that the search might find, opened for it, as far as their keys need no PIN; every search then costs key operations.',
      ),
    messages: z
      .int()
      .min(1)
      .max(2_000)
      .default(200)
      .describe(
        'With `all`: mails that one search opens at most, the newest first. What they hold is remembered by the session.',
      ),
    seconds: z.int().min(1).max(600).default(20).describe('With `all`: how long one search opens mails.'),
  })
  .prefault({})
  .describe('How far SEARCH, SORT and THREAD find words inside encrypted mails.');
