import { isIP } from 'node:net';
import * as z from 'zod';

const RESOLVERS =
  'Resolvers that verify DNSSEC, by IP address (`192.0.2.1`, `[2001:db8::1]:5353`), asked by TCP. What they say of DNSSEC is believed, so they are on this machine.';

/**
 * Validating resolvers, and whether some may be beyond this machine.
 *
 * @param order which of them is asked; empty: nothing to be said of it
 * @param danger what somebody can do who changes what they say on the way
 */
export function resolvers(order: string, danger: string) {
  return {
    resolvers: z
      .array(resolver)
      .min(1)
      .max(8)
      .prefault(['127.0.0.1'])
      .meta({ description: `${RESOLVERS}${order === '' ? '' : ` ${order}`}`, example: ['127.0.0.1'] }),
    trustNetwork: z
      .boolean()
      .default(false)
      .describe(
        `Permits resolvers beyond this machine. Whoever can change what they say on the way ${danger}.`,
      ),
  };
}

/** A resolver by its IP address: `192.0.2.1`, `[2001:db8::1]:5353`. */
const resolver = z
  .string()
  .transform((written, context) => {
    const found = /^(?:\[([0-9a-f:.]+)\]|([\d.]+)|([0-9a-f:.]+))(?::(\d{1,5}))?$/i.exec(written);
    const address = isIP(written) === 6 ? written : (found?.[1] ?? found?.[2] ?? '');
    const port = isIP(written) !== 0 || found?.[4] === undefined ? 53 : Number(found[4]);
    if (isIP(address) !== 0 && port >= 1 && port <= 65_535) {
      return { host: address, port, name: `${address.includes(':') ? `[${address}]` : address}:${port}` };
    }
    context.addIssue({ code: 'custom', message: 'an IP address is expected, with :PORT where it is not 53' });
    return z.NEVER;
  })
  .meta({ what: 'IP address' });
