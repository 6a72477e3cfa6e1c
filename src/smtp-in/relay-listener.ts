import { AddressRanges } from '../connections/address-range.ts';
import { limits } from '../limits.ts';
import {
  type SubmissionListener,
  type SubmissionListenerOptions,
  startSubmissionListener,
} from './listener.ts';
import { RelayAdmission, type RelaySettings } from './relay-admission.ts';

export type RelayListenerOptions = Omit<
  SubmissionListenerOptions,
  'assumeLogin' | 'ownMailbox' | 'allowPlainAuth' | 'admissionOf'
> & { relay: RelaySettings };

/**
 * Listens for other mail servers, which do not log in. Throws as `startSubmissionListener`.
 *
 * Must never happen: the address of a load balancer, which has told nothing of its client, admits that client.
 */
export function startRelayListener({ relay, ...options }: RelayListenerOptions): Promise<SubmissionListener> {
  const balancers = new AddressRanges(options.proxyProtocolFrom ?? []);
  return startSubmissionListener({
    ...options,
    // Nobody logs in: silence is what bounds a session.
    timeouts: { beforeAuth: limits.smtp.commandTimeoutMs, ...options.timeouts },
    admissionOf: ({ remote: { address } }) =>
      new RelayAdmission(relay, balancers.has(address) ? '' : address),
  });
}
