import { expect, test } from 'vitest';
import { PinDialog } from '../../../src/hsm/pin/pin-dialog.ts';
import type { PinOutcome } from '../../../src/hsm/pin/pin-prompt.ts';
import { LOG_IN } from './support/terminal.ts';

/** A dialogue whose person answers when the test says so. */
function dialogue() {
  const clock = { now: 0 };
  const prompts: ((outcome: PinOutcome) => void)[] = [];
  const dialog = new PinDialog({
    source: { ask: 'console' },
    now: () => clock.now,
    read: () => new Promise((resolve) => prompts.push(resolve)),
  });
  return { dialog, clock, prompts };
}

const cancelled: PinOutcome = { kind: 'cancelled', publicText: 'No.' };

test('a hundred uses of keys are one prompt, and each gets a PIN of its own to overwrite', async () => {
  const { dialog, prompts } = dialogue();
  const asked = Array.from({ length: 100 }, () => dialog.ask(LOG_IN));
  expect(prompts).toHaveLength(1);
  prompts[0]?.({ kind: 'pin', pin: Buffer.from('739105'), identity: null });
  const pins = (await Promise.all(asked)).map((outcome) => (outcome.kind === 'pin' ? outcome.pin : null));
  pins[0]?.fill(0);
  expect(pins.slice(1).map(String)).toEqual(Array(99).fill('739105'));
});

test('whoever said no is not asked again for 30 seconds', async () => {
  const { dialog, clock, prompts } = dialogue();
  const first = dialog.ask(LOG_IN);
  prompts[0]?.(cancelled);
  expect(await first).toEqual(cancelled);
  clock.now = 29_999;
  expect(dialog.mayAsk).toBe(false);
  expect(await dialog.ask(LOG_IN)).toMatchObject({
    kind: 'cancelled',
    publicText: expect.stringContaining('in 1 s,'),
  });
  expect(prompts).toHaveLength(1);
  clock.now = 30_000;
  expect(dialog.mayAsk).toBe(true);
  const second = dialog.ask(LOG_IN);
  prompts[1]?.(cancelled);
  expect(await second).toEqual(cancelled);
});

test('a prompt that nobody answered may come again at once', async () => {
  const { dialog, prompts } = dialogue();
  const first = dialog.ask(LOG_IN);
  prompts[0]?.({ kind: 'unanswered', publicText: 'Nobody.' });
  await first;
  expect(dialog.mayAsk).toBe(true);
});
