import type { KeyOperator } from './key-operator.ts';
import type { SessionWorker, Work } from './session-messages.ts';
import { softwareOperator } from './software-operations.ts';

/** A session thread's work with keys from files. */
export function beginSoftwareWork(first: Work): SessionWorker {
  let operator = operatorOf(first);
  return {
    perform: (operation) => operator.perform(operation),
    renew(work) {
      operator = operatorOf(work);
    },
  };
}

function operatorOf(work: Work): KeyOperator {
  if (work.kind !== 'software') throw new TypeError('work for a token');
  return softwareOperator(work.keys);
}
