import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Answer = (request: IncomingMessage, body: Buffer, response: ServerResponse) => void;

/** An HTTP server of this test: answers by path, and remembers what it was asked. */
export class Loopback {
  readonly asked: { method: string; url: string; headers: IncomingMessage['headers']; body: Buffer }[] = [];
  readonly #server: Server;
  readonly #answers = new Map<string, Answer>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const body = Buffer.concat(parts);
        const { method = '', url = '', headers } = request;
        this.asked.push({ method, url, headers, body });
        const path = [...this.#answers.keys()].find((known) => url === known || url.startsWith(`${known}/`));
        const answer = path === undefined ? undefined : this.#answers.get(path);
        if (answer === undefined) response.writeHead(404).end();
        else answer(request, body, response);
      });
    });
  }

  static async start(): Promise<Loopback> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Loopback(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  url(path: string): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  on(path: string, answer: Answer): this {
    this.#answers.set(path, answer);
    return this;
  }

  gives(path: string, octets: Buffer): this {
    return this.on(path, (_request, _body, response) => response.end(octets));
  }

  times(path: string): number {
    return this.asked.filter(({ url }) => url === path || url.startsWith(`${path}/`)).length;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
