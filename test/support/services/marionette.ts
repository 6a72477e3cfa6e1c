import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/**
 * Mozilla's remote control, protocol 3: JSON with its length before it, `[0, id, command, parameters]` and back
 * `[1, id, error, result]`.
 */
export type Marionette = {
  /** Runs the body of an async function inside the program, with all its rights, and gives what it returns. */
  run(body: string, ...args: readonly unknown[]): Promise<unknown>;
  /** Asks the program to end. */
  quit(): Promise<void>;
  close(): void;
};

type Reply = [1, number, { error: string; message: string; stacktrace?: string } | null, unknown];

/** @throws Error when the program refuses, or ends. */
export async function marionette(port: number): Promise<Marionette> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const messages = framesOf(socket);
  await messages.next();
  let id = 0;
  const ask = async (command: string, parameters: object): Promise<unknown> => {
    const octets = Buffer.from(JSON.stringify([0, ++id, command, parameters]), 'utf8');
    socket.write(Buffer.concat([Buffer.from(`${octets.length}:`), octets]));
    const { value, done } = await messages.next();
    if (done === true) throw new Error(`the program ended during ${command}`);
    const [, , error, result] = value as Reply;
    if (error !== null) throw new Error(`${command}: ${error.message}\n${error.stacktrace ?? ''}`);
    return result;
  };
  await ask('WebDriver:NewSession', {});
  await ask('WebDriver:SetTimeouts', { script: 55_000 });
  await ask('Marionette:SetContext', { value: 'chrome' });
  return {
    async run(body, ...args) {
      const script = `const [...given] = arguments; const done = given.pop();
        (async (...args) => { ${body} })(...given).then(
          (value) => done({ value }), (error) => done({ error: String(error) + "\\n" + error?.stack }));`;
      const result = await ask('WebDriver:ExecuteAsyncScript', { script, args, newSandbox: true });
      const { value, error } = (result as { value: { value: unknown; error?: string } }).value;
      if (error !== undefined) throw new Error(error);
      return value;
    },
    async quit() {
      await ask('Marionette:Quit', { flags: ['eForceQuit'] });
    },
    close: () => void socket.destroy(),
  };
}

async function* framesOf(socket: Socket): AsyncGenerator<unknown> {
  let pending = Buffer.alloc(0);
  for await (const chunk of socket) {
    pending = Buffer.concat([pending, chunk as Buffer]);
    for (;;) {
      const colon = pending.indexOf(':');
      if (colon === -1) break;
      const end = colon + 1 + Number(pending.toString('latin1', 0, colon));
      if (pending.length < end) break;
      const text = pending.toString('utf8', colon + 1, end);
      pending = pending.subarray(end);
      yield JSON.parse(text);
    }
  }
}
