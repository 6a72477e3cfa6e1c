import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SealgateError } from '../../../src/errors.ts';
import { OwnKey } from '../../../src/queue/own-key.ts';
import { DiskRoom } from '../../../src/queue/room.ts';
import { SpoolFolder } from '../../../src/queue/spool-folder.ts';
import { newOwnKey, ownIdentity } from './own-identity.ts';

/**
 * A spool on a small file system, in a mount namespace of this process's own:
 *
 *     unshare --mount node full-disk.ts FOLDER OPTIONS OCTETS
 *
 * Mails of so many octets are written until one is refused. Says what became of it, as JSON.
 */
export type FullDisk = {
  /** Of the refusal. */
  code: string;
  duration: string;
  /** What the folder has that no mail is that was written. */
  leftOver: string[];
  /** Whether what was there before can still be read. */
  readable: boolean;
  /** Whether mail is taken again once there is room. */
  takesAgain: boolean;
  /** What is said of room for one more of them: when there was nothing, and when it was full. */
  missing: { before: string | null; full: string | null };
};

const [, , state = '', options = '', octets = ''] = process.argv;
execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', state]);
const spool = await SpoolFolder.open(state, new OwnKey(ownIdentity([newOwnKey()])));
const mail = Buffer.alloc(Number(octets), 'x');
const room = () =>
  DiskRoom.ofSpool(state, { reserve: { octets: 0, files: 0 }, log: { write: () => undefined } }).missing(
    mail.length,
  );
const before = await room();
const kept = await spool.write(Buffer.from('a mail'));
const written: string[] = [];
let refusal: unknown = null;
while (refusal === null && written.length < 100) {
  await spool.write(mail).then(
    (name) => written.push(name),
    (error: unknown) => {
      refusal = error;
    },
  );
}
const full = await room();
const leftOver = readdirSync(join(state, 'queue')).filter((name) => name !== kept && !written.includes(name));
const readable = String(await spool.read(kept).then(async (source) => source.length)) === '6';
for (const name of written) await spool.remove(name);
const takesAgain = await spool.write(Buffer.from('another one')).then(
  () => true,
  () => false,
);
const { code, duration } =
  refusal instanceof SealgateError ? refusal : { code: String(refusal), duration: '' };
const said: FullDisk = { code, duration, leftOver, readable, takesAgain, missing: { before, full } };
process.stdout.write(JSON.stringify(said));
