import { z } from 'zod';
import { inventory } from './inventory.ts';

/**
 * Control messages between the gateway and a key process, as wire/control-frames.ts carries them. Uses of keys do not pass here:
 * they go over one pipe for each session (wire/operation-frames.ts).
 *
 * Both ends check what they receive: a vendor module that scribbles over the channel ends its own process and nothing
 * else. Nothing here carries a private key, a PIN or a password.
 */

const failure = z.object({
  code: z.string().regex(/^key\.[a-z-]{1,40}$/),
  publicText: z.string().min(1).max(2_000),
  duration: z.enum(['temporary', 'permanent']),
  /** For the log. */
  reason: z.string().max(2_000),
  /** The session with the token is gone: the process must start anew. */
  sessionLost: z.boolean(),
});

/** What becomes a SealgateError on the gateway's side. */
export type Failure = z.infer<typeof failure>;

const secretSource = z.union([z.object({ file: z.string() }), z.object({ env: z.string() })]);
const text = z.string().nullable();

const tokenSource = z.object({
  kind: z.literal('token'),
  module: z.string(),
  environment: z.record(z.string(), z.string()),
  initArgs: z.string().exactOptional(),
  token: z.object({ label: text, serial: text, model: text, manufacturer: text, reader: text }),
  objects: z.object({ object: text, id: text }),
  pin: z.union([
    secretSource,
    z.object({ ask: z.literal('pinentry'), program: text }),
    z.object({ ask: z.literal('console') }),
  ]),
  removable: z.boolean(),
  sessions: z.number().int().min(1).max(64),
  certificates: z.array(z.string()).readonly(),
});

const place = z.discriminatedUnion('kind', [
  tokenSource,
  z.object({ kind: z.literal('pkcs12'), file: z.string(), password: secretSource.nullable() }),
  z.object({
    kind: z.literal('pem'),
    key: z.string(),
    certificate: z.string(),
    passphrase: secretSource.nullable(),
  }),
  z.object({
    kind: z.literal('store'),
    folder: z.string(),
    unlock: z.union([secretSource, z.object({ token: tokenSource, label: text })]),
  }),
]);

/**
 * Which secret is meant for which token, without a word of the secret: the file's device, inode, size and times, or the name
 * of the variable, and the token's serial number. Changes when the file changes. Whoever has it learns nothing but that.
 */
const secretIdentity = z.string().min(1).max(1_000);

const toKeyProcess = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('open'),
    place,
    /** Of the running gateway: a variable of its environment is another secret after a restart. */
    instance: z.string(),
    /** Milliseconds that one call into the module may take before the process gives itself up. */
    patience: z.number().int().positive(),
    /** Label of the token that was there last, for sentences; null: nobody knows. */
    last: z.string().nullable(),
  }),
  /** The answer to `login`. `proven`: this token accepted this very secret before, so it may be sent although only one try is left. */
  z.object({ kind: z.literal('permit'), may: z.boolean(), proven: z.boolean() }),
  /** Somebody wants to use a key: a person may be asked for the PIN now. */
  z.object({ kind: z.literal('wanted') }),
  /** So many sessions are wanted; sent when requests wait. */
  z.object({ kind: z.literal('grow'), sessions: z.number().int().min(1).max(64) }),
  /** Read the files again. */
  z.object({ kind: z.literal('reload') }),
  z.object({ kind: z.literal('close') }),
]);

/** Gateway to key process. */
export type ToKeyProcess = z.infer<typeof toKeyProcess>;

const fromKeyProcess = z.discriminatedUnion('kind', [
  /** The token is not there, or the files cannot be read; the process goes on looking. */
  z.object({ kind: z.literal('absent'), failure }),
  /** There, and its certificates read; a person has to type the PIN. */
  z.object({ kind: z.literal('locked'), inventory }),
  /**
   * Before a secret leaves for a token: the process waits for `permit`. So the gateway knows of every try before it is made, and
   * that nobody knows whether the PIN cost a try if the process ends now. `identity` null: a person typed it just now. `inventory`: what was read before, if anything was.
   */
  z.object({
    kind: z.literal('login'),
    identity: secretIdentity.nullable(),
    inventory: inventory.nullable(),
  }),
  /** A person is being asked: no answer for minutes is no hang. */
  z.object({ kind: z.literal('asking') }),
  /** The person did not give a PIN. */
  z.object({ kind: z.literal('not-given'), failure }),
  /** The first session answers from now on. */
  z.object({ kind: z.literal('opened'), inventory }),
  /** Sessions that answer from now on, counted from the first pipe; the answer to `grow`. */
  z.object({ kind: z.literal('sessions'), count: z.number().int().min(1).max(64) }),
  /** The answer to `reload`, and at a change that the process saw by itself. */
  z.object({ kind: z.literal('changed'), inventory }),
  z.object({ kind: z.literal('reload-failed'), failure }),
  /** A file of a key store that cannot be read, while the others serve: never the answer to anything. */
  z.object({ kind: z.literal('file-problem'), failure }),
  /** The secret is not right, or the token blocked; `identity` as in `login`, null also where no secret was sent. */
  z.object({ kind: z.literal('refused'), failure, identity: secretIdentity.nullable() }),
  /** The token was taken out; the process ends with this, and whatever it knew of the PIN. */
  z.object({ kind: z.literal('removed'), failure }),
  /** The token has forgotten the session; the process ends with this. */
  z.object({ kind: z.literal('lost'), failure }),
  /** Cannot be opened; the process ends with this. */
  z.object({ kind: z.literal('failed'), failure }),
]);

/** Key process to gateway. */
export type FromKeyProcess = z.infer<typeof fromKeyProcess>;

/** null: not a message; the sender is broken and must be ended. */
export function parseToKeyProcess(value: unknown): ToKeyProcess | null {
  const parsed = toKeyProcess.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** null: not a message; the sender is broken and must be ended. */
export function parseFromKeyProcess(value: unknown): FromKeyProcess | null {
  const parsed = fromKeyProcess.safeParse(value);
  return parsed.success ? parsed.data : null;
}

/** null: not a failure. */
export function parseFailure(value: unknown): Failure | null {
  const parsed = failure.safeParse(value);
  return parsed.success ? parsed.data : null;
}
