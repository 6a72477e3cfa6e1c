import { expect, test } from 'vitest';
import { AskedSource } from '../../../src/directory/remote/asked-source.ts';
import { limits } from '../../../src/limits.ts';

/** A source whose answers come when the test says so. */
function asked() {
  const opened: string[] = [];
  const answers = new Map<number, () => void>();
  const source = new AskedSource<number, string>(
    {
      ...{ name: 'it', timeoutMs: 60_000 },
      ask: (question) => new Promise((resolve) => answers.set(question, () => resolve('yes'))),
    },
    { failures: 1, retryMs: 60_000, onChange: (_, openedBy) => opened.push(openedBy ?? 'back') },
  );
  return { source, answers, opened };
}

test('a question that waited for its turn, and had little time left, says nothing against the source', async () => {
  const { source, answers, opened } = asked();
  const never = new AbortController().signal;
  const first = Array.from({ length: limits.directory.questionsToSource }, (_, i) => source.ask(i, never));
  await expect.poll(() => answers.size).toBe(first.length);
  const hurried = new AbortController();
  const late = source.ask(1_000, hurried.signal);
  answers.get(0)?.();
  expect(await first[0]).toMatchObject({ kind: 'answered' });
  await expect.poll(() => answers.has(1_000)).toBe(true);
  hurried.abort();
  expect(await late).toMatchObject({ kind: 'failed' });
  expect([source.breaker, opened]).toEqual(['closed', []]);
  for (const give of answers.values()) give();
  await Promise.all(first);

  // One that was asked at once had its time.
  const soon = new AbortController();
  const silent = source.ask(2_000, soon.signal);
  await expect.poll(() => answers.has(2_000)).toBe(true);
  soon.abort();
  expect(await silent).toMatchObject({ kind: 'failed' });
  expect([source.breaker, opened]).toEqual(['open', ['no answer in time']]);
});
