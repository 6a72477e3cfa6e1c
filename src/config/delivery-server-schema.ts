import * as z from 'zod';
import type { Files } from './files.ts';
import { mailServerPlace, outgoingMailServer } from './mail-server-schema.ts';
import { sources } from './sources.ts';
import { maybe } from './values.ts';

/** A mail server to which the gateway delivers by itself, with the gateway's login there; `like`: where that is explained. */
export function deliveryServer(files: Files, like?: string) {
  const { secret } = sources(files);
  return {
    ...mailServerPlace(files),
    ...outgoingMailServer(files, like),
    login: maybe(
      z
        .string()
        .min(1)
        .max(255)
        .regex(/^[^\p{Cc}]+$/u, { error: 'a login without control characters is expected' })
        .meta({
          description:
            'Login of the gateway, where the server wants one; with `password` it is short for `authentication: { kind: password }`. It must be allowed to send in the name of every sender, since mail that waited keeps its own.',
          example: 'sealgate',
        }),
    ),
    password: maybe(secret('Its password.', 'secrets/queue.password')),
  };
}
