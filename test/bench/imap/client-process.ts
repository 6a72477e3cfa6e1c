import { ClientConnection, type Login, type Server } from './client-connection.ts';

/** What the benchmark asks its client process to do; one thing at a time. */
export type ClientTask =
  /** Opens `connections` more, logged in and with the mailbox selected, some at a time. */
  | {
      do: 'open';
      server: Server;
      login: Login;
      mailbox: string;
      connections: number;
      octetsASecond: number | null;
    }
  /** Sends the commands one after another on the first connection. */
  | { do: 'commands'; commands: readonly string[] }
  /** Begins IDLE on all connections. */
  | { do: 'idle' }
  /** Sends the i-th command on the i-th connection, and waits until as many octets have come on all as were asked for. */
  | { do: 'read'; commands: readonly string[]; octets: number }
  | { do: 'close' };

export type ClientReport = {
  seconds: number;
  untagged: number;
  literalOctets: number;
  /** Of each command, where they went one after another. */
  milliseconds: readonly number[];
};

export type ClientAnswer = { kind: 'done'; report: ClientReport } | { kind: 'failed'; reason: string };

/** Logins on their way at a time. */
const OPENING = 20;

let connections: ClientConnection[] = [];

process.on('message', (task: ClientTask) => {
  perform(task).then(
    (report) => answer({ kind: 'done', report }),
    (error: Error) => answer({ kind: 'failed', reason: error.stack ?? error.message }),
  );
});
process.once('disconnect', () => process.exit(0));

function answer(message: ClientAnswer): void {
  process.send?.(message);
}

async function perform(task: ClientTask): Promise<ClientReport> {
  const before = total();
  const milliseconds: number[] = [];
  const start = performance.now();
  switch (task.do) {
    case 'open':
      await open(task);
      break;
    case 'commands':
      await inSequence(task.commands, milliseconds);
      break;
    case 'idle':
      await Promise.all(connections.map((each) => each.command('IDLE')));
      break;
    case 'read':
      await read(task);
      break;
    case 'close':
      for (const each of connections) each.close();
      connections = [];
      break;
  }
  const seconds = (performance.now() - start) / 1000;
  const after = total();
  return {
    seconds,
    untagged: after.untagged - before.untagged,
    literalOctets: after.literalOctets - before.literalOctets,
    milliseconds,
  };
}

async function open(task: Extract<ClientTask, { do: 'open' }>): Promise<void> {
  let left = task.connections;
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const connection = new ClientConnection(task.server, task.octetsASecond);
      connections.push(connection);
      await connection.open(task.login, task.mailbox);
    }
  };
  await Promise.all(Array.from({ length: OPENING }, lane));
}

async function inSequence(commands: readonly string[], milliseconds: number[]): Promise<void> {
  const [connection] = connections;
  if (connection === undefined) throw new Error('no connection is open');
  for (const command of commands) {
    const start = performance.now();
    await connection.command(command);
    milliseconds.push(performance.now() - start);
  }
}

async function read({ commands, octets }: Extract<ClientTask, { do: 'read' }>): Promise<void> {
  await Promise.all(
    connections.map(async (connection, index) => {
      const command = commands[index % commands.length];
      if (command !== undefined) await connection.command(command);
    }),
  );
  const { literalOctets } = total();
  if (literalOctets < octets) throw new Error(`${literalOctets} octets came of ${octets}`);
}

function total(): { untagged: number; literalOctets: number } {
  const sum = { untagged: 0, literalOctets: 0 };
  for (const { counts } of connections) {
    sum.untagged += counts.untagged;
    sum.literalOctets += counts.literalOctets;
  }
  return sum;
}
