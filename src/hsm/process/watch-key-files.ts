import { type FSWatcher, type Stats, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { SecretSource, SoftwareSource } from '../source-kinds.ts';

/**
 * Sees that key files have changed.
 *
 * Folders are watched and not files: editors and `mv` put another file in the place of the one that was watched. What the
 * system does not tell (network disks, a folder that comes later) is found by looking now and then.
 */

/** After the last of many changes: a file that is being copied is read when it is whole. */
const QUIET_MS = 250;
const LOOK_MS = 5_000;

export type WatchTimes = {
  /** Milliseconds without a further change. */
  quiet?: number;
  /** Milliseconds between two looks. */
  look?: number;
};

/**
 * Says when files of the source have changed, those of secrets too: once for many changes at once. The files are not read.
 *
 * @param changed is called on the event loop; reload then. Sometimes for nothing
 * @returns ends the watching
 */
export function watchKeyFiles(
  source: SoftwareSource,
  changed: () => void,
  { quiet = QUIET_MS, look = LOOK_MS }: WatchTimes = {},
): () => void {
  const paths = pathsOf(source);
  const folders = new Map<string, Set<string> | 'all'>();
  for (const path of paths.files) {
    const names = folders.get(dirname(path));
    if (names !== 'all') folders.set(dirname(path), new Set([...(names ?? []), basename(path)]));
  }
  if (paths.folder !== null) folders.set(paths.folder, 'all');

  const seen = (): string => {
    // Of the folders around files only which they are: other files come and go there.
    const places = [...folders.keys()].map(folderOf);
    const all = paths.folder === null ? paths.files : [...paths.files, paths.folder];
    return [...places, ...all.map(stateOf)].join('\n');
  };
  let last = seen();
  let timer: NodeJS.Timeout | null = null;
  const touched = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      last = seen();
      rearm();
      changed();
    }, quiet);
  };

  const watchers = new Map<string, { watcher: FSWatcher; folder: string }>();
  const rearm = (): void => {
    for (const [folder, names] of folders) {
      const folderNow = folderOf(folder);
      const watched = watchers.get(folder);
      if (watched?.folder === folderNow) continue;
      watched?.watcher.close();
      watchers.delete(folder);
      const watcher = watchFolder(folder, names, touched, () => watchers.delete(folder));
      if (watcher !== null) watchers.set(folder, { watcher, folder: folderNow });
    }
  };
  rearm();
  const looking = setInterval(() => {
    rearm();
    if (timer === null && seen() !== last) touched();
  }, look);

  return () => {
    clearInterval(looking);
    if (timer !== null) clearTimeout(timer);
    for (const { watcher } of watchers.values()) watcher.close();
    watchers.clear();
  };
}

function pathsOf(source: SoftwareSource): { files: string[]; folder: string | null } {
  switch (source.kind) {
    case 'pkcs12': {
      const password = source.password === null ? [] : fileOf(source.password);
      return { files: [source.file, ...password], folder: null };
    }
    case 'pem': {
      const passphrase = source.passphrase === null ? [] : fileOf(source.passphrase);
      return { files: [source.key, source.certificate, ...passphrase], folder: null };
    }
    case 'store':
      return { files: 'token' in source.unlock ? [] : fileOf(source.unlock), folder: source.folder };
  }
}

function fileOf(secret: SecretSource): string[] {
  return 'file' in secret ? [secret.file] : [];
}

/** What a writer of the key store has not finished, and its lock, are no changes. */
const OF_WRITERS = /^(?:\.new-.*|lock)$/;
/** Where whole folders are replaced by turning one link (mounted secrets of containers). */
const TURNED_LINK = '..data';

/** null: it cannot be watched now. */
function watchFolder(
  folder: string,
  names: ReadonlySet<string> | 'all',
  touched: () => void,
  failed: () => void,
): FSWatcher | null {
  try {
    const watcher = watch(folder, { persistent: false }, (_, name) => {
      const ours =
        name === null ||
        name === TURNED_LINK ||
        name === basename(folder) ||
        (names === 'all' ? !OF_WRITERS.test(name) : names.has(name));
      if (ours) touched();
    });
    watcher.on('error', () => {
      watcher.close();
      failed();
    });
    return watcher;
  } catch {
    // Not there, or no more watches to be had: looking now and then finds its changes.
    return null;
  }
}

/** Device and inode. */
function folderOf(folder: string): string {
  return stateOf(folder).split(' ', 1)[0] ?? '';
}

/** Device and inode, and what changes with the content. */
function stateOf(path: string): string {
  let status: Stats;
  try {
    status = statSync(path);
  } catch {
    return 'absent';
  }
  return `${status.dev}:${status.ino} ${status.size} ${status.mtimeMs} ${status.mode} ${status.uid}`;
}
