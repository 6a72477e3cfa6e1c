import { parentPort, workerData } from 'node:worker_threads';
import { SealgateError, unreachable } from '../../../errors.ts';
import { printable } from '../../../log/printable.ts';
import { FailureError } from '../../failures.ts';
import {
  type FromManagement,
  type ManagementAnswer,
  parseToManagement,
  type ToManagement,
} from '../../management-messages.ts';
import { returnValueOf } from '../pkcs11-errors.ts';
import { deleteObjects } from './delete-objects.ts';
import { generateKeyPair } from './generate-key-pair.ts';
import { importKeys } from './import-keys.ts';
import { initialiseToken } from './initialise-token.ts';
import { listSlots } from './list-slots.ts';
import { ManagedModule } from './managed-module.ts';
import { Person } from './person.ts';
import { changePin, unblockPin } from './token-pins.ts';
import { writeCertificates } from './write-certificates.ts';

/** The thread that calls the module for token-management.ts. */

/** workerData of such a thread, so that importing its file elsewhere does nothing. */
export const TOKEN_MANAGEMENT_THREAD = 'sealgate-token-management-thread';

async function perform(message: ToManagement, person: Person): Promise<ManagementAnswer> {
  const { request } = message;
  using module = ManagedModule.open(message.module, message.initArgs);
  switch (request.kind) {
    case 'list':
      return { kind: 'list', ...listSlots(module) };
    case 'initialise':
      return await initialiseToken(module, message.token, request, person);
    case 'generate':
      return await generateKeyPair(module, message.token, request, person);
    case 'write-certificates':
      return await writeCertificates(module, message.token, request, person);
    case 'import-keys':
      return await importKeys(module, message.token, request, person);
    case 'delete':
      return await deleteObjects(module, message.token, request, person);
    case 'change-pin':
      return await changePin(module, message.token, request, person);
    case 'unblock-pin':
      return await unblockPin(module, message.token, request, person);
    default:
      return unreachable(request);
  }
}

function failedBy(error: unknown): FromManagement {
  if (error instanceof SealgateError) {
    const { code, publicText, duration, reason } = error;
    return { kind: 'failed', code, publicText, duration, reason: reason ?? '' };
  }
  if (error instanceof FailureError) {
    const { code, publicText, duration, reason } = error.failure;
    return { kind: 'failed', code, publicText, duration, reason };
  }
  const value = returnValueOf(error);
  if (value === null) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      kind: 'failed',
      code: 'key.management-defect',
      publicText: `An unexpected error while the token was managed: ${printable(reason)}. This is a defect of Sealgate or of the module; what was done so far is on the token.`,
      duration: 'permanent',
      reason,
    };
  }
  return {
    kind: 'failed',
    code: 'key.refused',
    publicText: `The token or its module did not do it and says ${value.name}; its documentation says what that means there.`,
    duration: 'permanent',
    reason: value.name,
  };
}

if (workerData === TOKEN_MANAGEMENT_THREAD && parentPort !== null) {
  const port = parentPort;
  const tell = (message: FromManagement): void => port.postMessage(message);
  port.once('message', async (value: unknown) => {
    const message = parseToManagement(value);
    if (message === null) throw new Error('not a request');
    try {
      tell({ kind: 'answer', answer: await perform(message, new Person(tell)) });
    } catch (error) {
      tell(failedBy(error));
    }
  });
}
