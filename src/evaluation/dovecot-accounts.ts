import { execFile } from 'node:child_process';
import { userInfo } from 'node:os';
import { promisify } from 'node:util';
import { SealgateError } from '../errors.ts';

/**
 * Who runs what in a throwaway Dovecot.
 *
 * Started as root, Dovecot refuses to touch mail as root; the mail belongs to `nobody`, the servers to the accounts
 * its package made. Started by an ordinary user, everything is that user.
 */
export type DovecotAccounts = {
  login: string;
  internal: string;
  internalGroup: string;
  auth: string;
  mail: { uid: number; gid: number };
};

const run = promisify(execFile);

export async function dovecotAccounts(): Promise<DovecotAccounts> {
  const self = userInfo();
  if (self.uid !== 0) {
    const { stdout } = await run('id', ['-gn']);
    return {
      login: self.username,
      internal: self.username,
      internalGroup: stdout.trim(),
      auth: self.username,
      mail: { uid: self.uid, gid: self.gid },
    };
  }
  return {
    login: 'dovenull',
    internal: 'dovecot',
    internalGroup: 'dovecot',
    auth: 'root',
    mail: await accountIds('nobody'),
  };
}

async function accountIds(name: string): Promise<{ uid: number; gid: number }> {
  const { stdout } = await run('getent', ['passwd', name]).catch((cause: unknown) => {
    throw new SealgateError({
      code: 'evaluation.account-missing',
      publicText: `The system account ${name} does not exist: run Sealgate as an ordinary user, or add the account.`,
      duration: 'permanent',
      cause,
    });
  });
  const [, , uid, gid] = stdout.trim().split(':');
  return { uid: Number(uid), gid: Number(gid) };
}
