import { access, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../../../src/errors.ts';
import {
  type ForegroundProcess,
  startForegroundProcess,
} from '../../../src/evaluation/foreground-process.ts';
import type { ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { freePair } from '../free-pair.ts';
import { firstFile, requireCommand } from '../require-command.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { CardWorker } from './virtual-card/card-worker.ts';
import { newVirtualCard, type VirtualCard, type VirtualCardOptions } from './virtual-card.ts';

/**
 * A PC/SC service (pcscd) of this test's own, with virtual readers (vpcd) and OpenSC's PKCS#11 module to use them with.
 *
 * pcscd keeps its socket and its process id in /run/pcscd, a name that is compiled in. It gets a mount namespace of its
 * own, in which /run is a temporary folder; programs outside find the socket there by PCSCLITE_CSOCK_NAME. So it neither
 * meets the machine's own pcscd nor that of another test, and readers on the machine's USB stay out of it.
 */
export type Pcsc = {
  /** OpenSC's PKCS#11 module, to be loaded with `env`. */
  readonly module: string;
  /** PCSCLITE_CSOCK_NAME, and OPENSC_CONF: OpenSC as it comes, but for files in somebody's home folder. */
  readonly env: Record<string, string>;
  /** @throws Error when there are not so many */
  reader(index: number): CardReader;
  /** A card that is in no reader yet. */
  newCard(pki: ThrowawayPki, options?: VirtualCardOptions): Promise<VirtualCard>;
  /** What pcscd wrote. */
  output(): string;
};

export type CardReader = {
  /** As PC/SC and C_GetSlotInfo (slotDescription) call it. */
  readonly name: string;
  /** Settles when the reader has seen the card, which takes up to half a second. */
  insert(card: VirtualCard): Promise<void>;
  /** Out it goes, even in the middle of an operation. Settles when the reader has noticed. Without a card nothing happens. */
  remove(): Promise<void>;
};

const DRIVERS = [
  '/usr/lib/pcsc/drivers/serial/libifdvpcd.so',
  '/usr/lib/x86_64-linux-gnu/pcsc/drivers/serial/libifdvpcd.so',
  '/usr/lib/aarch64-linux-gnu/pcsc/drivers/serial/libifdvpcd.so',
];

const MODULES = [
  '/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so',
  '/usr/lib/aarch64-linux-gnu/opensc-pkcs11.so',
  '/usr/lib/opensc-pkcs11.so',
];

const READER_NAME = 'Sealgate Virtual Reader';
const START_MS = 20_000;

/** @param options `readers`: there are always an even number of slots, the driver's way; those beyond stay empty */
export async function pcsc(options: { readers?: number } = {}): Promise<Started<Pcsc>> {
  const driver = firstFile(DRIVERS, 'The virtual reader libifdvpcd.so', 'vsmartcard-vpcd');
  const module = firstFile(MODULES, 'The PKCS#11 module opensc-pkcs11.so', 'opensc-pkcs11');
  const { folder, remove } = await temporaryFolder('pcsc');
  const worker = new CardWorker();
  let daemon: ForegroundProcess | null = null;
  const stop = async (): Promise<void> => {
    await daemon?.stop();
    await worker.stop();
    await remove();
  };
  try {
    const socket = join(folder, 'run', 'pcscd', 'pcscd.comm');
    const openscConf = join(folder, 'opensc.conf');
    await mkdir(join(folder, 'run', 'pcscd'), { recursive: true });
    await mkdir(join(folder, 'no-drivers'));
    await writeFile(openscConf, `app default {\n  framework pkcs15 {\n    use_file_caching = no;\n  }\n}\n`);
    const pairs = Math.ceil((options.readers ?? 1) / 2);
    daemon = await startPcscd(folder, driver, pairs, worker);
    const { output } = daemon;
    return started<Pcsc>({
      module,
      env: { PCSCLITE_CSOCK_NAME: socket, OPENSC_CONF: openscConf },
      reader: (index) => cardReader(worker, pairs, index),
      newCard: (pki, wish = {}) => newVirtualCard(worker, pki, wish),
      output,
      stop,
    });
  } catch (error) {
    await stop();
    throw error;
  }
}

function cardReader(worker: CardWorker, pairs: number, index: number): CardReader {
  if (index >= 2 * pairs) throw new Error(`there is no reader ${index}`);
  const pair = Math.floor(index / 2);
  return {
    // pcscd adds a number for readers of one name, and that of the slot.
    name: `${READER_NAME} ${pair} 00 0${index % 2}`,
    insert: (card) => worker.call('insert', { slot: index, card: card.number }),
    remove: () => worker.call('remove', index),
  };
}

const ATTEMPTS = 5;

/** pcscd that looks at so many pairs of slots; the cards' thread is told where they are. */
async function startPcscd(
  folder: string,
  driver: string,
  pairs: number,
  worker: CardWorker,
): Promise<ForegroundProcess> {
  for (let attempt = 1; ; attempt++) {
    const ports: number[] = [];
    while (ports.length < pairs) ports.push(await freePair());
    // The driver's variables know one pair of slots; under another name it is loaded anew.
    const drivers = ports.map((_, pair) => join(folder, `driver-${pair}.so`));
    await Promise.all(drivers.map((copy) => copyFile(driver, copy)));
    await writeFile(join(folder, 'reader.conf'), readerConf(ports, drivers));
    const daemon = await startProcess(folder);
    const failure = await failureOf(daemon, join(folder, 'run', 'pcscd', 'pcscd.comm'));
    if (failure === null) {
      await worker.call(
        'slots',
        ports.flatMap((port) => [port, port + 1]),
      );
      return daemon;
    }
    await daemon.stop();
    // Somebody else may have taken one of the ports a moment ago.
    if (failure.kind === 'port-taken' && attempt < ATTEMPTS) continue;
    throw new SealgateError({
      code: 'evaluation.program-failed',
      publicText: `pcscd did not start in a mount namespace of its own: ${failure.words}. In a container it needs the capability SYS_ADMIN; for a user who is not root, user namespaces must be allowed.`,
      duration: 'permanent',
    });
  }
}

/** reader.conf(5). The driver listens on the port and, for the second slot of each pair, on the next one. */
function readerConf(ports: readonly number[], drivers: readonly string[]): string {
  const entries = ports.map((port, pair) => {
    const number = `0x${port.toString(16)}`;
    return [
      `FRIENDLYNAME "${READER_NAME} ${pair}"`,
      `DEVICENAME /dev/null:${number}`,
      `LIBPATH ${drivers[pair]}`,
      `CHANNELID ${number}`,
    ];
  });
  return `${entries.flat().join('\n')}\n`;
}

async function startProcess(folder: string): Promise<ForegroundProcess> {
  const unshare = await requireCommand('unshare');
  const pcscd = await requireCommand('pcscd');
  const setpriv = await requireCommand('setpriv');
  const namespaces = process.getuid?.() === 0 ? ['--mount'] : ['--map-root-user', '--mount'];
  const script = [
    'mount --bind "$1/run" /run',
    // Entering a user namespace drops the wish to die with one's parent.
    'exec "$2" --pdeathsig TERM -- "$3" --foreground --info --config "$1/reader.conf"',
  ].join(' && ');
  return startForegroundProcess(
    unshare,
    [...namespaces, '--propagation', 'private', 'sh', '-c', script, 'sh', folder, setpriv, pcscd],
    { env: { PCSCLITE_HP_DROPDIR: join(folder, 'no-drivers') } },
  );
}

type StartFailure = { kind: 'port-taken' | 'other'; words: string };

/** pcscd makes its socket after it has looked at all readers. */
async function failureOf(daemon: ForegroundProcess, socket: string): Promise<StartFailure | null> {
  const deadline = Date.now() + START_MS;
  while (!(await exists(socket))) {
    if (daemon.ended() !== null || Date.now() > deadline) {
      return { kind: 'other', words: daemon.output().trim().split('\n').at(-1) ?? '' };
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const taken = daemon.output().includes('Could not initialize connection to virtual ICC');
  return taken ? { kind: 'port-taken', words: 'the ports of the readers are taken' } : null;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
