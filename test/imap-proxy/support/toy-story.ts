import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collect } from '../../../src/octets/collect.ts';
import type { InboundStory, OpenOutcome, OpenRequest } from '../../../src/pipeline/ports.ts';
import type { SecurityReport } from '../../../src/smime/report.ts';

/**
 * A stand-in for the inbound story: "encryption" is base64 of the entity with its octets reversed, so that tests know what
 * a view must hold without keys. `control` makes the story behave like a gateway whose key is away, or broken mail.
 */
export type ToyControl = {
  opened: number;
  observed: number;
  /** `waits`: for somebody who types the PIN: `typed`. */
  mode: 'works' | 'unavailable' | 'failed' | 'no-key' | 'breaks' | 'waits';
  /** Messages that wait for a PIN. */
  readonly waiting: Set<() => void>;
  /** Resolves when so many messages wait for a PIN. */
  waitFor(count: number): Promise<void>;
  /** Everything that waits can go on, and works from now on. */
  typed(): void;
};

export function toyControl(): ToyControl {
  const waiting = new Set<() => void>();
  return {
    ...{ opened: 0, observed: 0, mode: 'works', waiting },
    async waitFor(count) {
      while (waiting.size !== count) await new Promise((resolve) => setImmediate(resolve));
    },
    typed() {
      this.mode = 'works';
      for (const goOn of [...waiting]) goOn();
    },
  };
}

const OVERHEAD = 700;

const REPORT: SecurityReport = {
  layers: [{ kind: 'encrypted', algorithm: 'aes256-gcm', authenticated: true, outcome: 'opened' }],
};

export function toyStory(control: ToyControl): InboundStory {
  return {
    async open(request: OpenRequest): Promise<OpenOutcome> {
      const text = (await collect(request.octets.read())).toString('latin1');
      if (/^content-type: *multipart\/signed/im.test(text)) {
        if (control.mode === 'waits') await somebody(control, undefined);
        control.observed++;
        return { kind: 'as-is', report: null };
      }
      control.opened++;
      if (control.mode === 'waits') {
        request.patience?.atKey?.(true);
        await somebody(control, request.patience?.signal);
        request.patience?.atKey?.(false);
      }
      switch (control.mode) {
        case 'waits':
        case 'unavailable':
          return {
            kind: 'unavailable',
            key: true,
            publicText: 'The key token is not there. Insert it and try again.',
          };
        case 'failed':
          return { kind: 'failed', report: REPORT };
        case 'no-key':
          return { kind: 'no-key', report: REPORT };
        case 'breaks':
          throw new Error('a defect of the story');
        case 'works': {
          const body = text.slice(text.indexOf('\r\n\r\n') + 4);
          const entity = Buffer.from(body, 'base64').subarray(OVERHEAD).reverse();
          return {
            kind: 'opened',
            entity: bufferSource(entity),
            report: REPORT,
            verdict: { kind: 'trusted' },
          };
        }
      }
    },
  };
}

function somebody({ waiting }: ToyControl, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      waiting.delete(end);
      resolve();
    };
    waiting.add(end);
    signal?.addEventListener('abort', end);
    if (signal?.aborted === true) end();
  });
}

/** A stored message that the toy story opens to `entity`. Lines of base64 have 64 characters, as OpenSSL writes them. */
export function toyEncrypted(
  fields: readonly string[],
  entity: string | Buffer,
  smimeType = 'enveloped-data',
): Buffer {
  // A real CMS object adds some hundred octets of recipients and certificates.
  const content = Buffer.isBuffer(entity) ? Buffer.from(entity) : Buffer.from(entity, 'latin1');
  const sealed = Buffer.concat([Buffer.alloc(OVERHEAD, 'C'), content.reverse()]);
  const base64 = sealed.toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  const header = [
    ...fields,
    'MIME-Version: 1.0',
    `Content-Type: application/pkcs7-mime; smime-type=${smimeType}; name="smime.p7m"`,
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment; filename="smime.p7m"',
  ];
  return Buffer.from(`${header.join('\r\n')}\r\n\r\n${lines.join('\r\n')}\r\n`, 'latin1');
}
