/** As fs.Stats has them. */
export type Permissions = { mode: number; uid: number; gid: number };

/**
 * Whether nobody but a file's owner and root can read or write it.
 *
 * systemd's credentials are such files although they do not look so: root's, mode 0400, with an access list that names the
 * service's user, whose mask shows as the group's right to read.
 */
export function isClosedToOthers({ mode, uid, gid }: Permissions): boolean {
  if (process.platform === 'win32' || (mode & 0o077) === 0) return true;
  return (mode & 0o777) === 0o440 && uid === 0 && gid === 0;
}

/** As chmod(1) writes it: `0640`. */
export function octalMode(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}
