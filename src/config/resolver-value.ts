import { isIP } from 'node:net';
import * as z from 'zod';

/** A resolver by its IP address: `192.0.2.1`, `[2001:db8::1]:5353`. */
export const resolver = z
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
