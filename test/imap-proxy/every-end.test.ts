import { expect, test } from 'vitest';
import { ENDS, EndedStory, type Step } from './support/ended-story.ts';
import { SELECT, STORIES, type Story } from './support/session-stories.ts';

/** Whatever a session waits for, and whoever ends it then: it ends, on both sides, and gives back what it had. */

test.each(Object.keys(STORIES))('%s', async (name) => {
  const story = STORIES[name] as Story;
  const whole = new EndedStory(story, null);
  expect(await whole.wrong(null)).toBeNull();
  // What others have, too, is tried once.
  const from = story.says[1] === SELECT ? 3 : 0;
  const steps: Step[] = Array.from({ length: whole.steps - from }, (_, step) => from + step);
  if (story.mode === 'waits') steps.push('PIN');
  for (let disk = 0; disk < whole.spooled; disk++) steps.push({ disk });
  const left = steps.flatMap((step) =>
    (typeof step !== 'number' ? (['nothing'] as const) : (['nothing', 'half', 'whole'] as const)).flatMap(
      (said) => ENDS.map((end) => ({ cut: { step, said }, end })),
    ),
  );
  const wrong: string[] = [];
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const found = await new EndedStory(story, next.cut).wrong(next.end);
      if (found !== null) wrong.push(`${JSON.stringify(next.cut)}, ${next.end}: ${found}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(wrong).toEqual([]);
});
