import * as z from 'zod';
import { isLoopback } from './loopback.ts';
import { maybe } from './values.ts';

/** The section `holding`. */
export const holdingSection = z
  .strictObject({
    days: z
      .int()
      .min(1)
      .max(90)
      .default(14)
      .describe('How long mail waits for a certificate before its sender is told that it was not sent.'),
    lookAgainMinutes: z
      .int()
      .min(1)
      .max(1_440)
      .default(10)
      .describe(
        'How often everything that waits is looked at again: directories elsewhere may have a certificate by now (they are asked again when their last answer counts no more, `directory.lookup`), and people may have decided about one. What comes by mail is noticed at once.',
      ),
    url: maybe(
      z
        .string()
        .regex(/^https?:\/\/[^\s/?#]+(\/[^\s?#]+)?(?<!\/)$/, {
          error: 'an address like https://gateway.example.org is expected, without a slash at its end',
        })
        .refine(isUrl, { error: 'this is no address of a web page' })
        .refine(isPrivate, {
          error: 'links in mail must be https: whoever reads one can decide about the mail',
        })
        .meta({
          description:
            'Where people reach the gateway’s pages about mail that waits: questions then have a link to them. Without it they are answered by mail alone.',
          example: 'https://gateway.example.org',
        }),
    ),
  })
  .prefault({})
  .describe('Mail that waits for a certificate, or for a decision of its sender.');

function isUrl(text: string): boolean {
  return URL.canParse(text);
}

function isPrivate(text: string): boolean {
  if (!URL.canParse(text)) return true;
  const { protocol, hostname } = new URL(text);
  return protocol === 'https:' || isLoopback(hostname.replace(/^\[|\]$/g, ''));
}
