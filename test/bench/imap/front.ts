import type { Server } from './client-connection.ts';
import { direct, type MailServer } from './mail-server.ts';

/** What stands between the client and the mail server in one contender. */
export type Front = {
  name: string;
  role: 'ours' | 'peer' | 'limit';
  start(mailServer: MailServer): Promise<RunningFront>;
};

export type RunningFront = {
  server: Server;
  /** Whose processor time counts; null: nobody's. */
  pid: number | null;
  stop(): Promise<void>;
};

/** Nobody between: what client and mail server can do. */
export const DIRECT: Front = {
  name: 'Dovecot directly',
  role: 'limit',
  start: async (mailServer) => ({ server: direct(mailServer), pid: null, stop: async () => undefined }),
};
