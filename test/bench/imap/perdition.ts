import { requireProgram } from '../../../src/evaluation/debian-packages.ts';
import { startForegroundProcess } from '../../../src/evaluation/foreground-process.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { awaitListening } from '../relay/load.ts';
import type { Front } from './front.ts';
import { trusting } from './mail-server.ts';

/** perdition, one process a connection, TLS on both legs. */
export const PERDITION: Front = {
  name: 'perdition',
  role: 'peer',
  async start({ dovecot, server, pki }) {
    const program = await requireProgram('perdition.imaps', ['perdition']);
    const port = await freePort();
    const perdition = await startForegroundProcess(program, [
      ...['--no_daemon', '--protocol', 'IMAP4S', '--config_file', '/dev/null', '--pid_file', ''],
      ...['--bind_address', '127.0.0.1', '--listen_port', String(port), '--map_library', ''],
      ...['--outgoing_server', `127.0.0.1:${dovecot.imapsPort}`, '--ssl_mode', 'ssl_all'],
      ...['--ssl_cert_file', server.certFile, '--ssl_key_file', server.keyFile],
      // Its unprivileged user could not read the authority's file.
      ...['--ssl_no_cert_verify', '--ssl_no_cn_verify', '--quiet'],
      ...(process.getuid?.() === 0 ? ['--username', 'nobody', '--group', 'nogroup'] : []),
    ]);
    await awaitListening(port);
    return {
      server: { port, tls: trusting(pki) },
      pid: perdition.pid,
      stop: () => perdition.stop(),
    };
  },
};
