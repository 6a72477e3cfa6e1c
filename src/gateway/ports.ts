import type { Log } from '../log/log.ts';
import type { ListenerTls } from './listener-tls.ts';

/** What all listeners share, whatever they speak. `tls` null: the configuration has none. */
export type Listening = { ports: Ports; tls: ListenerTls | null };

/** The ports that listeners got, by their names. */
export class Ports {
  readonly #listening = new Map<string, { host: string; port: number }>();

  /** @param port the configured one, or the system's choice for 0 */
  add({ name, host }: { name: string; host: string }, port: number): void {
    this.#listening.set(name, { host, port });
  }

  of(listener: string): number {
    const place = this.#listening.get(listener);
    if (place === undefined) throw new Error(`no listener is called ${listener}`);
    return place.port;
  }

  tell(log: Log): void {
    for (const [listener, { host, port }] of this.#listening) {
      log.write({ event: 'gateway.listening', level: 'info', listener, host, port });
    }
  }
}
