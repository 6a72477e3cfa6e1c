import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { CardInReader } from '../support/services/virtual-card.ts';
import { keyBehaviour } from './support/key-behaviour.ts';
import type { Expected } from './support/key-under-test.ts';
import { type OpenedKeys, openKeys, tokenSource } from './support/opened-keys.ts';
import { present } from './support/refusal.ts';
import { workbench } from './support/workbench.ts';

/** The same behaviour on a card, through OpenSC: keys are called as OpenSC calls them. */

const bench = workbench();
const RSA = { kind: 'rsa', signs: ['rsa-pkcs1', 'rsa-pss'], opens: ['rsa-pkcs1', 'rsa-oaep'] } as const;

const KEYS: readonly [string, string, Expected][] = [
  ['RSA for authentication (9a)', 'PIV AUTH key', RSA],
  ['RSA that wants the PIN for each use (9c)', 'SIGN key', RSA],
  ['RSA for key management (9d)', 'KEY MAN key', { ...RSA, signs: [] }],
  ['P-256, retired (82)', 'Retired KEY MAN 1', { kind: 'ec', signs: [], opens: ['agree'] }],
  ['P-256 without PIN (9e)', 'CARD AUTH key', { kind: 'ec', signs: ['ecdsa'], opens: [] }],
];

let card: Started<CardInReader> | null = null;
let keys: OpenedKeys | null = null;

beforeAll(async () => {
  const pki = await services.pki();
  card = await services.virtualCard(pki, {
    keys: [
      { reference: '9a' },
      { reference: '9c' },
      { reference: '9d' },
      { reference: '82', type: 'p-256' },
      { reference: '9e', type: 'p-256' },
    ],
  });
  await pki.stop();
  const pin = bench.path('card.pin');
  writeFileSync(pin, card.card.pin, { mode: 0o600 });
  const source = tokenSource({ module: card.module, env: card.env, tokenLabel: '' }, pin, {
    token: {
      label: null,
      serial: null,
      model: null,
      manufacturer: null,
      reader: card.reader(0).name,
    },
    removable: true,
    sessions: 1,
  });
  keys = await openKeys(source, bench);
}, 60_000);

afterAll(async () => {
  await keys?.close();
  await card?.stop();
  bench.remove();
});

for (const [name, label, expected] of KEYS) {
  keyBehaviour(`OpenSC: ${name}`, expected, () => present(keys).key(label));
}
