import { SealgateError } from '../../../src/errors.ts';

/**
 * Where servers run in tests: as processes of this machine, or in containers. Command-line peers (swaks, mbsync, gpgsm,
 * cmsutil, openssl, SoftHSM2) always run on this machine, since the code under test and they share files.
 */
export type Engine = 'local' | 'docker';

/** The one table of images; nothing else in the project names one for tests. */
export const images = {
  dovecot: 'dovecot/dovecot:2.3.21.1',
} as const;

/** @throws SealgateError `test.engine-unknown` */
export function engine(name: string | undefined = process.env.SEALGATE_TEST_ENGINE): Engine {
  if (name === undefined || name === '' || name === 'local') return 'local';
  if (name === 'docker') return 'docker';
  throw new SealgateError({
    code: 'test.engine-unknown',
    publicText: `SEALGATE_TEST_ENGINE is ${JSON.stringify(name)}: write "local" or "docker", or leave it out.`,
    duration: 'permanent',
  });
}

/** @throws SealgateError `test.engine-absent` */
export function noEngine(cause: unknown): SealgateError {
  return new SealgateError({
    code: 'test.engine-absent',
    publicText:
      'No Docker engine answers: start one, or leave SEALGATE_TEST_ENGINE out to run the servers on this machine.',
    duration: 'temporary',
    reason: cause instanceof Error ? cause.message : String(cause),
    cause,
  });
}
