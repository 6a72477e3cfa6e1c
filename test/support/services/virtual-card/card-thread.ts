import { parentPort } from 'node:worker_threads';
import { unreachable } from '../../../../src/errors.ts';
import type { CardAnswer, CardCall, CardCallMessage, NewCard, NewCardAnswer } from './card-calls.ts';
import { newCardKey } from './card-key.ts';
import { dataObjects, type KeyReference } from './data-objects.ts';
import { HeldCard } from './held-card.ts';
import { PivCard } from './piv-card.ts';
import { VpcdSlot } from './vpcd-slot.ts';

/** The thread of the cards and of the slots they are in. */

type KnownCard = { held: HeldCard; guid: Buffer; compressed: boolean };

let slots: VpcdSlot[] = [];
const cards: KnownCard[] = [];

async function perform(call: CardCall): Promise<unknown> {
  switch (call.name) {
    case 'slots':
      slots = call.argument.map((port) => new VpcdSlot(port));
      return null;
    case 'newCard':
      return newCard(call.argument);
    case 'setCertificates': {
      const { held, guid, compressed } = known(call.argument.card);
      const certificates = new Map<KeyReference, Buffer>();
      for (const [reference, der] of call.argument.certificates)
        certificates.set(reference, Buffer.from(der));
      held.card.replaceObjects(dataObjects({ guid, certificates, compressed }));
      return null;
    }
    case 'insert':
      await slot(call.argument.slot).insert(known(call.argument.card).held);
      return null;
    case 'remove':
      await slot(call.argument).remove();
      return null;
    case 'counters':
      return known(call.argument).held.card.counters;
    case 'hold':
      known(call.argument.card).held.hold(call.argument.what);
      return null;
    case 'reached':
      await known(call.argument).held.reached();
      return null;
    case 'release':
      known(call.argument).held.release();
      return null;
    case 'close':
      for (const { held } of cards) held.release();
      for (const each of slots) each.close();
      return null;
    default:
      return unreachable(call);
  }
}

async function newCard(request: NewCard): Promise<NewCardAnswer> {
  const guid = Buffer.from(request.guid);
  const made = [...request.keys].map(
    async ([reference, type]) => [reference, await newCardKey(type)] as const,
  );
  const keys = new Map(await Promise.all(made));
  const { compressed } = request;
  const objects = dataObjects({ guid, certificates: new Map(), compressed });
  const card = new PivCard(keys, objects, request);
  const number = cards.push({ held: new HeldCard(card), guid, compressed }) - 1;
  const publicKeys = new Map([...keys].map(([reference, key]) => [reference, key.publicKey]));
  return { card: number, publicKeys };
}

function known(card: number): KnownCard {
  const found = cards[card];
  if (found === undefined) throw new Error(`there is no card ${card}`);
  return found;
}

function slot(number: number): VpcdSlot {
  const found = slots[number];
  if (found === undefined) throw new Error(`there is no slot ${number}`);
  return found;
}

parentPort?.on('message', ({ id, ...call }: CardCallMessage) => {
  const answer = (message: CardAnswer): void => parentPort?.postMessage(message);
  perform(call).then(
    (value) => answer({ id, value }),
    (error: unknown) => answer({ id, error: error instanceof Error ? error.message : String(error) }),
  );
});
