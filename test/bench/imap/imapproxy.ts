import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requireProgram } from '../../../src/evaluation/debian-packages.ts';
import { startForegroundProcess } from '../../../src/evaluation/foreground-process.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { awaitListening } from '../relay/load.ts';
import type { Front } from './front.ts';

/** up-imapproxy: TLS towards the mail server, none towards the client, which it does not offer. */
export const IMAPPROXY: Front = {
  name: 'imapproxy (TLS on one leg)',
  role: 'peer',
  async start({ folder: parent, dovecot, pki }) {
    const program = await requireProgram('imapproxyd', ['imapproxy']);
    const folder = await mkdtemp(join(parent, 'imapproxy-'));
    const port = await freePort();
    const config = join(folder, 'imapproxy.conf');
    await mkdir(join(folder, 'chroot'));
    await writeFile(
      config,
      `server_hostname localhost
server_port ${dovecot.imapPort}
listen_address 127.0.0.1
listen_port ${port}
connect_retries 10
connect_delay 5
cache_size 3072
cache_expiration_time 300
proc_username nobody
proc_groupname nogroup
stat_filename ${folder}/stats
protocol_log_filename ${folder}/protocol.log
syslog_facility LOG_MAIL
send_tcp_keepalives no
enable_select_cache no
foreground_mode yes
force_tls yes
chroot_directory ${folder}/chroot
enable_admin_commands no
tls_ca_file ${pki.ca.certificateFile}
tls_verify_server no
`,
    );
    const proxy = await startForegroundProcess(program, ['-f', config]);
    await awaitListening(port);
    return {
      server: { port, tls: null },
      pid: proxy.pid,
      async stop() {
        await proxy.stop();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};
