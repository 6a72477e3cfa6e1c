import { createPrivateKey } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';

/**
 * What a core dump of a process would hold: its memory, read through proc(5), searched for octets. Linux; for processes
 * that the test itself has started, or as root.
 */

const CHUNK = 4 * 1024 * 1024;

/** The names of those needles that are somewhere in the memory of the process, sorted. */
export async function foundInMemory(pid: number, needles: ReadonlyMap<string, Buffer>): Promise<string[]> {
  const longest = Math.max(...[...needles.values()].map(({ length }) => length));
  const found = new Set<string>();
  const memory = await open(`/proc/${pid}/mem`, 'r');
  try {
    let searched = 0;
    for (const region of await writableRegions(pid)) {
      for (let at = region.begin; at < region.end; at += BigInt(CHUNK)) {
        const rest = region.end - at;
        const wanted = Math.min(CHUNK + longest, Number(rest));
        const octets = await readAt(memory, at, wanted);
        searched += octets.length;
        for (const [name, needle] of needles) if (octets.includes(needle)) found.add(name);
      }
    }
    if (searched < CHUNK) throw new Error(`only ${searched} octets of process ${pid} could be read`);
  } finally {
    await memory.close();
  }
  return [...found].sort();
}

type Region = { begin: bigint; end: bigint };

/**
 * Heap, stacks, anonymous memory and changed file pages; code and read-only data of files cannot hold what was read. What was
 * reserved and never touched is left out.
 */
async function writableRegions(pid: number): Promise<Region[]> {
  const maps = await readFile(`/proc/${pid}/smaps`, 'latin1');
  return maps.split(/\n(?=[0-9a-f]+-[0-9a-f]+ )/).flatMap((region) => {
    const [, begin, end, rights, name] =
      /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/m.exec(region) ?? [];
    if (begin === undefined || end === undefined || rights === undefined) return [];
    const readable = rights.startsWith('r') && (rights[1] === 'w' || name === '') && name !== '[vvar]';
    const touched = !/^Rss: +0 kB$/m.test(region) || !/^Swap: +0 kB$/m.test(region);
    return readable && touched ? [{ begin: BigInt(`0x${begin}`), end: BigInt(`0x${end}`) }] : [];
  });
}

async function readAt(memory: FileHandle, position: bigint, octets: number): Promise<Buffer> {
  const buffer = Buffer.alloc(octets);
  try {
    const { bytesRead } = await memory.read(buffer, 0, octets, position);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    // A region that went away meanwhile, or that no reader may see.
    if (error instanceof Error && 'code' in error && (error.code === 'EIO' || error.code === 'EFAULT')) {
      return Buffer.alloc(0);
    }
    throw error;
  }
}

/**
 * What of a private key may be nowhere: each secret number as DER has it and as OpenSSL computes with it (least significant octet
 * first), and the file's text.
 *
 * @param pem PKCS#8, unencrypted
 */
export function privateKeyNeedles(name: string, pem: string): Map<string, Buffer> {
  const jwk = createPrivateKey(pem).export({ format: 'jwk' });
  const needles = new Map<string, Buffer>();
  for (const member of ['d', 'p', 'q'] as const) {
    const value = jwk[member];
    if (value === undefined) continue;
    // The middle: leading zeros come and go.
    const octets = Buffer.from(value, 'base64url').subarray(4, 28);
    needles.set(`${member} of ${name}`, octets);
    needles.set(`${member} of ${name}, reversed`, Buffer.from(octets).reverse());
  }
  // Of an RSA key the first eight lines are public: the modulus.
  needles.set(`PEM of ${name}`, Buffer.from(pem.split('\n')[10] ?? pem.split('\n')[1] ?? ''));
  return needles;
}
