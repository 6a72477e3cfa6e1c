import { createHash } from 'node:crypto';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import pkcs11 from 'pkcs11js';

/**
 * A bare loop of C_SignInit and C_Sign: threads of one process, one session each, nothing between them and the module. What it
 * does in a second is what the token has to give. Told by its parent how many signatures to make.
 */

export type BareSignOrder = {
  module: string;
  tokenLabel: string;
  pin: string;
  threads: number;
};

/** What one thread is started with; `left` counts down over all of them. */
type ThreadData = { module: string; slot: Uint8Array; key: Uint8Array; left: SharedArrayBuffer };

const DIGEST_INFO = Buffer.concat([
  Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  createHash('sha256').update('the same for all').digest(),
]);

function lead(order: BareSignOrder): void {
  const module = new pkcs11.PKCS11();
  module.load(order.module);
  module.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
  const slot = module
    .C_GetSlotList(true)
    .find((each) => module.C_GetTokenInfo(each).label.trimEnd() === order.tokenLabel);
  if (slot === undefined) throw new Error('no token');
  const session = module.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION);
  module.C_Login(session, pkcs11.CKU_USER, order.pin);
  module.C_FindObjectsInit(session, [{ type: pkcs11.CKA_CLASS, value: pkcs11.CKO_PRIVATE_KEY }]);
  const [key] = module.C_FindObjects(session, 1);
  module.C_FindObjectsFinal(session);
  if (key === undefined) throw new Error('no key');
  const left = new SharedArrayBuffer(4);
  const data: ThreadData = { module: order.module, slot, key, left };
  const workers = Array.from(
    { length: order.threads },
    () => new Worker(new URL(import.meta.url), { workerData: data }),
  );
  let working = 0;
  for (const worker of workers) {
    worker.on('message', () => {
      working--;
      if (working === 0) process.send?.('done');
    });
  }
  process.on('message', (signatures: number) => {
    Atomics.store(new Int32Array(left), 0, signatures);
    working = workers.length;
    for (const worker of workers) worker.postMessage('go');
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.('ready');
}

function follow({ module: path, slot, key, left }: ThreadData): void {
  const module = new pkcs11.PKCS11();
  module.load(path);
  const session = module.C_OpenSession(Buffer.from(slot), pkcs11.CKF_SERIAL_SESSION);
  const object = Buffer.from(key);
  const counter = new Int32Array(left);
  const room = Buffer.alloc(512);
  parentPort?.on('message', () => {
    while (Atomics.sub(counter, 0, 1) > 0) {
      module.C_SignInit(session, { mechanism: pkcs11.CKM_RSA_PKCS }, object);
      module.C_Sign(session, DIGEST_INFO, room);
    }
    parentPort?.postMessage('done');
  });
}

if (!isMainThread) follow(workerData as ThreadData);
else if (process.argv[1] === import.meta.filename && process.send !== undefined) {
  process.once('message', (order: BareSignOrder) => lead(order));
}
