import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { requireCommand } from '../require-command.ts';
import { type Started, started } from './disposable.ts';

/** Two addresses: what is `near` is on this machine as tests have it, what is `far` in a network of its own. */
export type Link = { near: string; far: string };

/** A network of its own, from which this machine is reached by some links: each may lose all packets. */
export type NetworkNamespace<Name extends string> = {
  readonly links: Readonly<Record<Name, Link>>;
  /** Words before those of a program that is to run there. */
  readonly within: readonly string[];
  /** From now on no packet of these links arrives, either way, and nobody hears of it. */
  cut(...names: readonly Name[]): Promise<void>;
  heal(): Promise<void>;
};

/** Of nobody: frames to it are dropped where they arrive. */
const NOBODY = '02:00:00:00:00:ff';

/** @throws Error where this is not root: a network is made only as root */
export async function networkNamespace<Name extends string>(
  names: readonly Name[],
): Promise<Started<NetworkNamespace<Name>>> {
  if (process.getuid?.() !== 0) throw new Error('a network of its own is made only as root');
  const [ip, unshare, nsenter] = await Promise.all([
    requireCommand('ip'),
    requireCommand('unshare'),
    requireCommand('nsenter'),
  ]);
  // It lives as long as this process, with its end of the cable and so with both.
  const holder = spawn(unshare, ['--net', 'sh', '-c', 'echo; exec sleep infinity'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = async () => {
    if (holder.exitCode !== null || holder.signalCode !== null) return;
    const gone = once(holder, 'exit');
    holder.kill('SIGKILL');
    await gone;
  };
  try {
    await once(holder.stdout, 'data');
    const within = [nsenter, `--net=/proc/${holder.pid}/ns/net`];
    const [enter = '', ...words] = within;
    const here = (text: string) => runProgram(ip, text.split(' '));
    const there = (text: string) => runProgram(enter, [...words, ip, ...text.split(' ')]);
    const [near, far] = [`sg${process.pid}n`, `sg${process.pid}f`];
    // RFC 2544: addresses that are nobody's.
    const of = (i: number, end: number) => `198.18.${process.pid % 256}.${4 * i + end}`;
    const links = Object.fromEntries(
      names.map((name, i) => [name, { near: of(i, 1), far: of(i, 2) }]),
    ) as Record<Name, Link>;
    await here(`link add ${near} type veth peer name ${far} netns ${holder.pid}`);
    for (const link of Object.values<Link>(links)) {
      await here(`address add ${link.near}/30 dev ${near}`);
      await there(`address add ${link.far}/30 dev ${far}`);
    }
    await there('link set lo up');
    await there(`link set ${far} up`);
    await here(`link set ${near} up`);
    const cut = new Set<Name>();
    return started<NetworkNamespace<Name>>({
      ...{ links, within, stop },
      async cut(...lost) {
        for (const name of lost) {
          cut.add(name);
          await there(`neighbour replace ${links[name].near} lladdr ${NOBODY} dev ${far} nud permanent`);
          await here(`neighbour replace ${links[name].far} lladdr ${NOBODY} dev ${near} nud permanent`);
        }
      },
      async heal() {
        for (const name of cut) {
          await there(`neighbour delete ${links[name].near} dev ${far}`);
          await here(`neighbour delete ${links[name].far} dev ${near}`);
        }
        cut.clear();
      },
    });
  } catch (error) {
    await stop();
    throw error;
  }
}
