import { limits } from '../limits.ts';
import {
  type SubmissionListener,
  type SubmissionListenerOptions,
  startSubmissionListener,
} from './listener.ts';
import { RelayAdmission, type RelaySettings } from './relay-admission.ts';

export type RelayListenerOptions = Omit<
  SubmissionListenerOptions,
  'assumeLogin' | 'ownMailbox' | 'allowPlainAuth' | 'admissionOf' | 'clientCertificates'
> & { relay: RelaySettings };

/**
 * Listens for other mail servers, which do not log in. Throws as `startSubmissionListener`.
 *
 * Must never happen: the address of a load balancer, which has told nothing of its client, admits that client.
 */
export function startRelayListener({ relay, ...options }: RelayListenerOptions): Promise<SubmissionListener> {
  return startSubmissionListener({
    ...options,
    // Not every server stands being asked, so that only those are that could be let in by it.
    clientCertificates: (relay.from?.certificates ?? null) === null ? 'ignored' : 'asked',
    // Nobody logs in: silence is what bounds a session.
    timeouts: { beforeAuth: limits.smtp.commandTimeoutMs, ...options.timeouts },
    admissionOf: ({ remote, remoteIs }) =>
      new RelayAdmission(relay, remoteIs === 'balancer' ? '' : remote.address),
  });
}
