import { createPublicKey } from 'node:crypto';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import type { KeyUse, ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import type { KeyAttributes, TokenAnswer, TokenKeyType, TokenOrder, TokenStep } from './token-program.ts';

/** A token of any make, prepared through PKCS#11 alone. Its keys are generated inside and never leave it. */
export type TestToken = {
  /** The PKCS#11 module, to be loaded with `env`. */
  readonly module: string;
  readonly env: Record<string, string>;
  /** For C_Initialize; absent: nothing. */
  readonly initArgs?: string;
  readonly tokenLabel: string;
  readonly pin: string;
  /** Generates key pairs, has them certified and writes the certificates to the token. */
  generateKeys(pki: ThrowawayPki, requests: readonly TestKeyRequest[]): Promise<TestKey[]>;
};

export type TestKeyRequest = {
  address: string;
  type: TokenKeyType;
  /** Default: signs, and opens what its type can. */
  attributes?: KeyAttributes;
  use?: KeyUse;
  /** Default: the address. */
  label?: string;
  /** CKA_ID of the certificate and no label, where it is to differ from that of the key. */
  certificateId?: string;
  /** false: the certificate is not written to the token. */
  certified?: boolean;
};

export type TestKey = {
  address: string;
  label: string;
  /** CKA_ID, hexadecimal. */
  id: string;
  /** PEM. */
  certificate: string;
};

type Access = Omit<TestToken, 'generateKeys'>;

/**
 * What `generateKeys` does, for one that is there. CKA_IDs are counted from c0.
 *
 * @param keysAtOnce how many a program may generate in its life; some tokens have no room for more
 */
export function testToken(access: Access, keysAtOnce = Number.POSITIVE_INFINITY): TestToken {
  let count = 0;
  return {
    ...access,
    async generateKeys(pki, requests) {
      const keys = requests.map((request) => ({
        ...request,
        id: (0xc0 + count++).toString(16),
        label: request.label ?? request.address,
      }));
      const steps = keys.map(({ type, id, label, attributes }): TokenStep => {
        const opens = type.startsWith('rsa') ? { decrypt: true } : { derive: true };
        return { kind: 'generate', type, id, label, attributes: attributes ?? { sign: true, ...opens } };
      });
      const made: (string | null)[] = [];
      while (made.length < steps.length) {
        made.push(...(await order(access, steps.slice(made.length, made.length + keysAtOnce))));
      }
      const certified: (TestKey & TestKeyRequest)[] = [];
      for (const [i, key] of keys.entries()) {
        const publicKey = createPublicKey({
          key: Buffer.from(made[i] ?? '', 'base64'),
          format: 'der',
          type: 'spki',
        });
        const { address, use } = key;
        const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
        const request = { address, ...(use === undefined ? {} : { use }) };
        certified.push({ ...key, certificate: await pki.issueForPublicKey(pem, request) });
      }
      const written = certified.filter((key) => key.certified !== false);
      await order(
        access,
        written.map(({ id, label, certificate, certificateId }) => ({
          kind: 'write-certificate',
          id: certificateId ?? id,
          label: certificateId === undefined ? label : '',
          der: certificate.replace(/-----[^-]+-----|\s/g, ''),
        })),
      );
      return certified.map(({ address, label, id, certificate }) => ({ address, label, id, certificate }));
    },
  };
}

/** Runs the steps in a program of their own. */
export async function order(access: Access, steps: readonly TokenStep[]): Promise<TokenAnswer> {
  if (steps.length === 0) return [];
  const { module, initArgs, tokenLabel, pin, env } = access;
  const input: TokenOrder = {
    module,
    ...(initArgs === undefined ? {} : { initArgs }),
    tokenLabel,
    pin,
    steps,
  };
  const program = new URL('token-program.ts', import.meta.url).pathname;
  const { stdout } = await runProgram(process.execPath, [program], { input: JSON.stringify(input), env });
  return JSON.parse(stdout.toString('utf8'));
}
