import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import type { UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import { numberOf, recipientsOf, SECRET } from './numbered-mail.ts';

/** What came out at the end, each message looked at by openssl. */
export type Arrived = {
  /** `number recipient`, and how often. */
  times: Map<string, number>;
  /** Not signed, or readable where it must not be. */
  unprotected: string[];
  /** The signature or the text is not as it was made. */
  corrupted: string[];
  /** Reports to the sender. */
  reports: number;
};

export type Looking = { folder: string; caFile: string; secret: UserIdentity; atOnce: number };

type Kept = { to: string[]; octets: string };

export async function lookAtAll(file: string, looking: Looking): Promise<Arrived> {
  const arrived: Arrived = { times: new Map(), unprotected: [], corrupted: [], reports: 0 };
  const lines = createInterface({ input: createReadStream(file) })[Symbol.asyncIterator]();
  let next = 0;
  const lane = async (name: number): Promise<void> => {
    for (let line = await lines.next(); line.done !== true; line = await lines.next()) {
      next++;
      const kept = read(line.value);
      // The sink was killed while it wrote the line, and before it said 250.
      if (kept !== null) await lookAt(kept, join(looking.folder, `looked-at-${name}.eml`), looking, arrived);
    }
  };
  await Promise.all(Array.from({ length: looking.atOnce }, (_, name) => lane(name)));
  if (next === 0) throw new Error('nothing arrived at all');
  return arrived;
}

function read(line: string): Kept | null {
  try {
    return JSON.parse(line) as Kept;
  } catch {
    return null;
  }
}

async function lookAt({ to, octets }: Kept, file: string, looking: Looking, arrived: Arrived): Promise<void> {
  const message = Buffer.from(octets, 'base64');
  const text = message.toString('latin1');
  if (/^Content-Type: multipart\/report/im.test(text.slice(0, 4_000))) {
    arrived.reports++;
    return;
  }
  await writeFile(file, message, { mode: 0o600 });
  const where = `to ${to.join(', ')}: ${/^Subject: [^\r]*/m.exec(text)?.[0] ?? ''}`;
  const isEncrypted = /smime-type="?(?:enveloped|authEnveloped)-data/i.test(text.slice(0, 4_000));
  if (to.includes(SECRET) && (!isEncrypted || numberOf(text) !== null)) arrived.unprotected.push(where);
  const { certificateFile, keyFile } = looking.secret;
  const opened = isEncrypted
    ? await runToEnd('openssl', [
        'cms',
        '-decrypt',
        '-in',
        file,
        '-recip',
        certificateFile,
        '-inkey',
        keyFile,
      ])
    : { failure: null, stdout: message };
  if (opened.failure !== null) {
    arrived.corrupted.push(`${where}: cannot be decrypted`);
    return;
  }
  if (!opened.stdout.includes('multipart/signed')) arrived.unprotected.push(where);
  const verified = await runToEnd('openssl', ['cms', '-verify', '-CAfile', looking.caFile], {
    input: opened.stdout,
  });
  const number = verified.failure === null ? numberOf(verified.stdout.toString('latin1')) : null;
  if (number === null) {
    arrived.corrupted.push(where);
    return;
  }
  for (const recipient of to) {
    if (!recipientsOf(number).includes(recipient))
      arrived.unprotected.push(`${where}: for nobody of that mail`);
    const key = `${number} ${recipient}`;
    arrived.times.set(key, (arrived.times.get(key) ?? 0) + 1);
  }
}

/** What the sender was promised and nobody has. */
export function lostOf(accepted: Iterable<number>, { times }: Arrived): string[] {
  return [...accepted]
    .flatMap((number) => recipientsOf(number).map((recipient) => `${number} ${recipient}`))
    .filter((key) => !times.has(key));
}

/** Copies beyond the first. */
export function duplicatesOf({ times }: Arrived): number {
  let more = 0;
  for (const count of times.values()) more += count - 1;
  return more;
}
