import * as z from 'zod';
import { deliveryServer } from './delivery-server-schema.ts';
import type { Files } from './files.ts';
import { mxSection, routeList } from './routing-schema.ts';
import { address, keyReference, maybe, sizeBetween } from './values.ts';

const LARGEST_RESERVE = 1024 * 1024 * 1024 * 1024;

/** The section `queue`. */
export function queueSection(files: Files) {
  return maybe(
    z
      .strictObject({
        key: keyReference.meta({
          description:
            'The gateway’s own key, an entry of `keys` that no login has: what waits on the disk is encrypted to it, and it signs what the gateway writes where its certificate names `address`. For one of several keys in a token or key store, NAME/LABEL.',
          example: 'gateway',
        }),
        formerKeys: z
          .array(keyReference)
          .default([])
          .meta({
            description:
              'Keys that `key` was before: they open what still lies there, for as long as that is the case.',
            example: ['gateway-2025'],
          }),
        address: address.meta({
          description: 'Address that the gateway writes from; no login has it.',
          example: 'secure-mail@example.org',
        }),
        server: maybe(
          z
            .strictObject({
              ...deliveryServer(files),
              connections: z
                .int()
                .min(1)
                .max(20)
                .default(2)
                .describe('Connections that the gateway makes at once; each delivers some mails.'),
            })
            .meta({
              description:
                'The mail server that takes what the gateway delivers by itself, after the client’s own connection is gone. It may be left out where a route is for every domain.',
              example: { host: 'mail.example.org', port: 587, tls: 'starttls' },
            }),
        ),
        routes: routeList(files),
        mx: mxSection(files),
        days: z
          .int()
          .min(1)
          .max(30)
          .default(5)
          .describe(
            'How long a delivery is tried, with growing waits between, before its sender is told that it has failed.',
          ),
        reserve: z
          .strictObject({
            octets: sizeBetween(1024, LARGEST_RESERVE, '256 MiB').prefault('256 MiB').meta({
              description:
                'Octets that stay free on the file system of `stateFolder`: no mail is taken for the queue that would use them.',
            }),
            files: z
              .int()
              .min(0)
              .max(100_000_000)
              .default(1_000)
              .describe('The same in files (inodes) that can still be made there.'),
          })
          .prefault({})
          .describe('Room that is kept for what is in the queue already.'),
      })
      .meta({
        description:
          'Mail that the gateway delivers by itself. Without this section there is none, and no rule can ask for it.',
        off: true,
      }),
  );
}
