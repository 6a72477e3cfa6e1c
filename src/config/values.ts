import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import * as z from 'zod';
import { limits } from '../limits.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { canonicalLogin } from '../sasl/canonical-login.ts';
import { octetsFrom, sizeText } from './size.ts';

/** What a setting may say beyond its description; shape.ts and reference.ts read it. */
declare module 'zod' {
  interface GlobalMeta {
    /** A value for the example file. */
    example?: unknown;
    /** Items of a list that follow the first one in the example file. */
    furtherExamples?: readonly unknown[];
    /** Stands in the example file although it is optional. */
    shown?: boolean;
    /** A map or list of maps of which the example file shows nothing but comments. */
    off?: boolean;
    /** The same settings as in that place, which are not explained and shown again. */
    like?: string;
    /** What the text is, for the reference page. */
    what?: string;
  }
}

/** The kinds of value a setting can have, each with the sentence that says what is allowed. */

export const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
  error:
    'a name is 1 to 64 letters, digits, dots, underscores and hyphens, and begins with a letter or digit',
});

export const keyName = (example: string) =>
  name.meta({ description: 'Name of the key: principals refer to it, log lines show it.', example });

/** `name` or `name/label`; a label is the token's or file's own word. */
export const keyReference = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(\/[^\p{Cc}]{1,255})?$/u, {
  error: 'the name of a key is expected, or name/label for one of several keys in a token or file',
});

export const transport = z.enum(['starttls', 'implicit', 'none']);

const portSentence = 'a port is a whole number from 1 to 65535';
export const upstreamPort = z
  .int({ error: portSentence })
  .min(1, { error: portSentence })
  .max(65_535, { error: portSentence })
  .meta({ description: 'Port of the mail server.', example: 587 });

export const listenerPort = z
  .int({ error: portSentence })
  .min(0, { error: portSentence })
  .max(65_535, { error: portSentence });

/** Lower case. */
export const hostname = z
  .string()
  .refine((text) => isDomain(text), { error: 'a name like gateway.example.org is expected' })
  .transform((text) => text.toLowerCase());

export const host = z
  .string()
  .refine((text) => isDomain(text) || isAddressLiteral(text), {
    error: 'a host name or an IP address is expected',
  })
  .meta({ what: 'name or IP address' });

export const addressRange = z
  .string()
  .refine((text) => isAddressRange(text), {
    error: 'an IP address, or one with a prefix length like 10.1.0.0/16, is expected',
  })
  .meta({ what: 'IP address or range' });

export const address = z
  .string()
  // The one reader of addresses: what it does not read would be accepted here and belong to nobody later.
  .refine((text) => parseMailbox(text) !== null, {
    error: 'a mail address like alice@example.org is expected',
  })
  .meta({ what: 'mail address' });

/** In the form in which one that has logged in is looked up: two spellings of a login are one. */
export const login = z
  .string()
  .min(1)
  .max(255)
  .transform((written, context) => {
    const canonical = canonicalLogin(Buffer.from(written, 'utf8'));
    if (canonical !== null) return canonical;
    context.addIssue({
      code: 'custom',
      message:
        'nobody can log in with this: it begins or ends with a blank, or has control characters or letters in decomposed form',
    });
    return z.NEVER;
  });

export const domainPattern = z
  .string()
  .refine((text) => text === '*' || isDomain(text.replace(/^\*\./, '')), {
    error: 'a domain, *.domain or * is expected',
  })
  .transform((text) => {
    if (text === '*') return text;
    const below = text.startsWith('*.') ? '*.' : '';
    return below + domainToASCII(text.slice(below.length));
  });

/** Of a mail. */
export const size = sizeBetween(1024, limits.smtp.messageOctets, '25 MiB');

/** Of what may be thrown away at any time. */
export const cacheSize = sizeBetween(1024 ** 2, 64 * 1024 ** 3, '256 MiB');

/**
 * @param least octets
 * @param most octets
 * @param example as somebody would write it
 */
export function sizeBetween(least: number, most: number, example: string) {
  return z.union([z.int(), z.string()]).transform((written, context) => {
    const octets = typeof written === 'number' ? written : octetsFrom(written);
    if (octets !== null && octets >= least && octets <= most) return octets;
    context.addIssue({
      code: 'custom',
      message: `a size from ${sizeText(least)} to ${sizeText(most)} is expected, like "${example}"`,
    });
    return z.NEVER;
  });
}

export function list<T extends z.ZodType>(item: T, description: string, example: readonly string[]) {
  return z
    .array(item)
    .min(1, { error: 'the list is empty: leave the condition out, or name something' })
    .meta({ description, example });
}

function isDomain(text: string): boolean {
  const ascii = domainToASCII(text);
  if (ascii === '' || ascii.length > 253) return false;
  // domainToASCII also reads numbers as IPv4 addresses; what it changes beyond IDN and case is no name.
  if (/^[\d.]+$/.test(ascii)) return false;
  return ascii.split('.').every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(label));
}

function isAddressLiteral(text: string): boolean {
  return isIP(text) !== 0;
}

function isAddressRange(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0 || address.includes('%')) return false;
  if (prefix === undefined) return true;
  return /^\d{1,3}$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128);
}

/** A setting that may be left out; it is null then. */
export function maybe<T extends z.ZodType>(schema: T) {
  return schema.optional().transform((value) => value ?? null);
}
