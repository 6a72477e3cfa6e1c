import { open, readFile } from 'node:fs/promises';
import { openKeySources } from '../../../src/hsm/key-sources.ts';
import { silentLog } from '../../../src/log/log.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import { type FileSource, openFileSource } from '../../../src/octets/file-source.ts';
import type { OctetStream } from '../../../src/octets/source.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';
import { encryptMessageStream } from '../../../src/smime/encrypt-stream.ts';
import { openMessageStream, type StreamOpening } from '../../../src/smime/open-stream.ts';
import { signMessageStream } from '../../../src/smime/sign-stream.ts';
import { pemSource } from '../../support/pem-source.ts';
import type { Job, Operation, WorkerOptions, WorkerReport } from './large-message.ts';
import { writeStream } from './write-stream.ts';

/** One operation on files, in a process of its own, so that its memory is that of nothing else. */

const options: WorkerOptions = JSON.parse(process.argv[2] ?? '{}');
const sources = await openKeySources([pemSource('bench', options)], { log: silentLog });
const anchors = readCertificates(await readFile(options.authority));

const operations: Record<Operation, (message: FileSource, write: Write) => Promise<void>> = {
  sign: async (message, write) => {
    const [key] = sources.signing;
    if (key === undefined) throw new Error('the key cannot sign');
    const signed = await signMessageStream(message, key, { form: 'clear', at: new Date() });
    await write(signed.read());
  },
  encrypt: async (message, write) => {
    const certificates = readCertificates(await readFile(options.certificate));
    const recipients = certificates.map((certificate) => ({ certificate }));
    const encrypted = await encryptMessageStream(message, recipients, 'aes256-cbc');
    await write(encrypted.octets);
  },
  decrypt: (message, write) => opened(message, write, ({ outcome }) => outcome === 'opened'),
  verify: (message, write) =>
    opened(message, write, ({ report: { layers } }) =>
      layers.some((layer) => layer.kind === 'signed' && layer.signatures[0]?.signature === 'good'),
    ),
};

type Write = (octets: OctetStream) => Promise<void>;

async function opened(
  message: FileSource,
  write: Write,
  isGood: (opening: StreamOpening) => boolean,
): Promise<void> {
  const context = { at: new Date(), anchors, pool: [] };
  const opening = await openMessageStream(message, sources.decryption, context, encryptedSpool());
  if (!isGood(opening)) throw new Error(`the message was not opened: ${opening.outcome}`);
  await write(opening.entity.read());
  await opening.discard();
}

async function run({ input, output }: Job): Promise<void> {
  const message = await openFileSource(input);
  await operations[options.operation](message, async (octets) => {
    const file = await open(output, 'w');
    await writeStream(file, octets);
    await file.close();
  });
  await message.close();
}

/** Resident memory in octets: the most there ever was, or now. */
async function residentOctets(field: 'VmHWM' | 'VmRSS'): Promise<number> {
  const status = await readFile('/proc/self/status', 'latin1');
  return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}

for (let i = 0; i < 5; i++) await run(options.warmUp);
const before = await residentOctets('VmRSS');

process.on('message', async (job: Job) => {
  const start = performance.now();
  await run(job);
  const seconds = (performance.now() - start) / 1000;
  const report: WorkerReport = { seconds, memoryGrowth: (await residentOctets('VmHWM')) - before };
  process.send?.(report);
});
process.on('disconnect', () => void sources.close());
process.send?.('ready');
