import type { PinnedFiles } from '../directory/pinned-files.ts';
import { openRemote } from '../directory/remote/open-remote.ts';
import { SqlDirectory } from '../directory/sql-directory.ts';
import type { SqlStore } from '../store/sql-store.ts';
import type { Opening } from './opening.ts';
import type { Trust } from './trust.ts';

export type DirectoryParts = {
  /** Where certificates are; several gateways may share it. */
  certificates: SqlStore;
  pinned: PinnedFiles;
  trust: Trust;
  /** Where the running gateway notes which sources it has given up; null: nobody notes it. */
  outages: SqlStore | null;
  /** Told of each address for which there is something new; absent: nobody is. */
  noted?(address: string): void;
};

/** Correspondents' certificates, with the sources that are asked about what is not known. @throws SealgateError `directory.source-ca` */
export async function openDirectory(
  { config, log, clock }: Pick<Opening, 'config' | 'log' | 'clock'>,
  { certificates, pinned, trust, outages, noted }: DirectoryParts,
): Promise<SqlDirectory> {
  const remote = await openRemote({
    ...{ settings: config.directory, store: certificates, own: outages, ...trust, clock, log },
    postQuantum: config.smime.postQuantum,
  });
  return new SqlDirectory({
    ...{ store: certificates, pinned, clock, log, remote },
    ...(noted === undefined ? {} : { noted }),
  });
}
