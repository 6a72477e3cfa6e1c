import * as z from 'zod';
import { address, keyReference, login, maybe } from './values.ts';

/** Who may write from which address, with which keys and how: one entry of `principals.list`. */

const profile = z.strictObject({
  address: address.meta({
    description: 'Address of the login that this is about; each has at most one profile.',
    example: 'alice@example.org',
  }),
  sign: maybe(
    keyReference.meta({
      description:
        'Key that signs mail from this address, one of the keys of the login. Without it the newest that may sign and names the address.',
      example: 'alice-card/Signature',
    }),
  ),
  encrypt: maybe(
    keyReference.meta({
      description:
        'Key whose certificate others are told to encrypt to when they write to this address, one of the keys of the login. Without it the newest that is for encryption and names the address.',
      example: 'alice-card/Encryption',
    }),
  ),
  rsaSignature: maybe(
    z
      .enum(['automatic', 'pkcs1', 'pss'])
      .describe('In place of `smime.rsaSignature`, for mail from this address.'),
  ),
  rsaKeyTransport: maybe(
    z
      .enum(['automatic', 'pkcs1', 'oaep'])
      .describe('In place of `smime.rsaKeyTransport`, for mail from this address.'),
  ),
});

export const principal = z.strictObject({
  login: login.meta({ description: 'Login as the mail server knows it.', example: 'alice' }),
  addresses: z
    .array(address)
    .default([])
    .meta({
      description: 'Addresses the login may write from.',
      example: ['alice@example.org'],
      shown: true,
    }),
  keys: z
    .array(keyReference)
    .default([])
    .meta({
      description:
        'Keys the login may use: `name`, or `name/label` for one of several keys in a token or file. To sign where the certificate names the From address, to decrypt always.',
      example: ['alice'],
      shown: true,
    }),
  profiles: z.array(profile).prefault([]).meta({
    description:
      'How mail from single addresses is protected, where the choice by certificates and `smime` is not the one that is wanted.',
    off: true,
  }),
});
