import { randomBytes } from 'node:crypto';
import { GenericContainer, Wait } from 'testcontainers';
import type { Dovecot, DovecotOptions } from '../../../src/evaluation/dovecot.ts';
import {
  mailFolderOf,
  makeDovecotFolders,
  readDovecotLog,
  removeDovecotFolders,
  writeDovecotFiles,
} from '../../../src/evaluation/dovecot-folder.ts';
import { images, noEngine } from './engine.ts';

/** Ports inside the container. */
const PORTS = { imap: 31143, imaps: 31993, pop3: 31110, lmtp: 31024 };
const NOBODY = 65534;

/** The same Dovecot with the same configuration, in a container that shares its folder with this machine. */
export async function startDovecotContainer(options: DovecotOptions): Promise<Dovecot> {
  const folders = await makeDovecotFolders(options.folder);
  const { uid, gid } = hostUser();
  const configFile = await writeDovecotFiles(folders, {
    users: options.users,
    tls: options.tls ?? null,
    accounts: {
      login: 'dovenull',
      internal: 'dovecot',
      internalGroup: 'dovecot',
      auth: 'root',
      // Mail that belongs to this machine's user can be read and removed by it.
      mail: uid === 0 ? { uid: NOBODY, gid: NOBODY } : { uid, gid },
    },
    ports: { ...PORTS, imaps: options.tls === undefined ? null : PORTS.imaps },
    listen: '*',
    instance: `sealgate-${randomBytes(6).toString('hex')}`,
    debug: options.debug ?? false,
  });
  const ports = [PORTS.imap, PORTS.pop3, PORTS.lmtp, ...(options.tls === undefined ? [] : [PORTS.imaps])];
  const container = await new GenericContainer(images.dovecot)
    .withUser('root')
    .withBindMounts([{ source: folders.home, target: folders.home }])
    .withEntrypoint(['/usr/sbin/dovecot'])
    .withCommand(['-F', '-c', configFile])
    .withExposedPorts(...ports)
    .withWaitStrategy(Wait.forListeningPorts())
    .start()
    .catch(async (error: unknown) => {
      await removeDovecotFolders(folders);
      throw noEngine(error);
    });
  return {
    imapPort: container.getMappedPort(PORTS.imap),
    imapsPort: options.tls === undefined ? null : container.getMappedPort(PORTS.imaps),
    pop3Port: container.getMappedPort(PORTS.pop3),
    lmtpPort: container.getMappedPort(PORTS.lmtp),
    mailFolder: (login) => mailFolderOf(folders, login),
    logText: () => readDovecotLog(folders),
    async stop() {
      // What the container's root wrote, this machine's user could not remove.
      await container.exec(['chown', '-R', `${uid}:${gid}`, folders.home]);
      await container.stop();
      await removeDovecotFolders(folders);
    },
  };
}

function hostUser(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? NOBODY, gid: process.getgid?.() ?? NOBODY };
}
