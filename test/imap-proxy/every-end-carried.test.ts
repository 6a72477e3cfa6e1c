import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateFor, type TlsMaterial } from '../support/certificate.ts';
import { CARRIERS, PLAIN } from './support/carriers.ts';
import { type Carried, type Cut, ENDS, type End, EndedStory, type Step } from './support/ended-story.ts';
import { SELECT, STORIES, type Story } from './support/session-stories.ts';

/** TLS, DEFLATE or both between the gateway and its peers: whoever ends a session, and wherever on the wire, it ends and gives back what it had. */

type Ended = { story: string; under: string; carried: Carried; cut: Cut; end: End };

let material: TlsMaterial;
beforeAll(() => {
  material = certificateFor('localhost');
});
afterAll(() => material.remove());

const UNDER = Object.entries(CARRIERS).flatMap(([name, carrier]) => [
  { name: `${name} to the client`, carriers: { client: carrier, server: PLAIN } },
  { name: `${name} to the mail server`, carriers: { client: PLAIN, server: carrier } },
  { name: `${name} to both`, carriers: { client: carrier, server: carrier } },
]);

async function wrongOf(left: Ended[]): Promise<string[]> {
  const wrong: string[] = [];
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { story, under, carried, cut, end } = next;
      const found = await new EndedStory(STORIES[story] as Story, cut, carried).wrong(end);
      if (found !== null) wrong.push(`${story}, ${under}, ${JSON.stringify(cut)}, ${end}: ${found}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return wrong;
}

/** Of all there are, so many are tried, each time the same: each story meets each carrier, and each carrier each end. */
const ONE_OF = 11;

test('at each step of each story', async () => {
  const left: Ended[] = [];
  let count = 0;
  for (const [name, story] of Object.entries(STORIES)) {
    // These have compression of their own, or none after the login.
    if (/COMPRESS|compresses|stored session/.test(name)) continue;
    const whole = new EndedStory(story, null);
    expect(await whole.wrong(null), name).toBeNull();
    const from = story.says[1] === SELECT ? 3 : 0;
    const steps: Step[] = Array.from({ length: whole.steps - from }, (_, step) => from + step);
    if (story.mode === 'waits') steps.push('PIN');
    for (let disk = 0; disk < whole.spooled; disk++) steps.push({ disk });
    for (const step of steps) {
      for (const said of typeof step === 'number'
        ? (['nothing', 'half', 'whole'] as const)
        : (['nothing'] as const)) {
        for (const end of ENDS) {
          const under = UNDER[count++ % UNDER.length];
          if (under === undefined || count % ONE_OF !== 0) continue;
          const { carriers } = under;
          left.push({
            story: name,
            under: under.name,
            carried: { carriers, material },
            cut: { step, said },
            end,
          });
        }
      }
    }
  }
  expect(await wrongOf(left)).toEqual([]);
});

/** Those that come from beneath: in a handshake nobody can say a last word. */
const CUT_ENDS = {
  client: ['the client closes', 'the client resets', 'the client is cut off', 'the gateway stops'],
  server: ['the client closes', 'the gateway stops', 'the mail server resets', 'the mail server is cut off'],
} as const;
const APART = 37;

test('behind so many octets of the wire', async () => {
  const story = 'what passes at once';
  const left: Ended[] = [];
  for (const [name, carrier] of Object.entries(CARRIERS)) {
    const carried = { carriers: { client: carrier, server: carrier }, material };
    const whole = new EndedStory(STORIES[story] as Story, null, carried);
    expect(await whole.wrong(null), name).toBeNull();
    for (const of of ['client', 'server'] as const) {
      const apart = carrier.tls === 'none' ? 1 : APART;
      for (let octets = 0; octets < whole.left[of]; octets += apart) {
        const end = CUT_ENDS[of][(octets / apart) % CUT_ENDS[of].length] as End;
        left.push({ story, under: name, carried, cut: { of, octets }, end });
      }
    }
  }
  expect(await wrongOf(left)).toEqual([]);
});
