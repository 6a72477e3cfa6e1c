import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { requireProgram } from '../../../src/evaluation/debian-packages.ts';
import { startForegroundProcess } from '../../../src/evaluation/foreground-process.ts';
import { freePort } from '../../../src/evaluation/free-port.ts';
import { awaitListening } from '../relay/load.ts';
import type { Front } from './front.ts';
import { trusting } from './mail-server.ts';

/** nginx's mail proxy: TLS towards the client, none towards the mail server, which it does not offer. */
export const NGINX: Front = {
  name: 'nginx mail proxy (TLS on one leg)',
  role: 'peer',
  async start({ folder: parent, dovecot, server, pki }) {
    const program = await requireProgram('nginx', ['nginx', 'libnginx-mod-mail']);
    const folder = await mkdtemp(join(parent, 'nginx-'));
    const port = await freePort();
    // Asked at each login for the server to go to.
    const authority = createServer((_request, response) => {
      response.writeHead(200, {
        'Auth-Status': 'OK',
        'Auth-Server': '127.0.0.1',
        'Auth-Port': dovecot.imapPort,
      });
      response.end();
    });
    authority.listen(0, '127.0.0.1');
    await once(authority, 'listening');
    const config = join(folder, 'nginx.conf');
    await writeFile(
      config,
      `load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log warn;
events { worker_connections 4096; }
mail {
  auth_http 127.0.0.1:${(authority.address() as AddressInfo).port}/;
  imap_capabilities IMAP4rev1 UIDPLUS;
  server {
    listen 127.0.0.1:${port} ssl;
    protocol imap;
    ssl_certificate ${server.certFile};
    ssl_certificate_key ${server.keyFile};
    imap_auth plain login;
  }
}
`,
    );
    const nginx = await startForegroundProcess(program, ['-e', `${folder}/error.log`, '-c', config]);
    await awaitListening(port);
    return {
      server: { port, tls: trusting(pki) },
      pid: nginx.pid,
      async stop() {
        await nginx.stop();
        authority.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};
