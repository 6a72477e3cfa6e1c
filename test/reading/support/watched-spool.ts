import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type { Spool } from '../../../src/octets/source.ts';

/** A spool that counts what was begun and not thrown away. */
export function watchedSpool(memoryOctets = 1024): { spool: Spool; left: () => number } {
  const inner = encryptedSpool({ memoryOctets });
  let left = 0;
  const begin: Spool['begin'] = () => {
    const writer = inner.begin();
    left++;
    let there = true;
    const gone = (): void => {
      if (there) left--;
      there = false;
    };
    return {
      write: (octets) => writer.write(octets),
      async finish() {
        const spooled = await writer.finish();
        return {
          length: spooled.length,
          read: (start, end) => spooled.read(start, end),
          async discard() {
            gone();
            await spooled.discard();
          },
        };
      },
      async discard() {
        gone();
        await writer.discard();
      },
    };
  };
  return { spool: { begin }, left: () => left };
}
