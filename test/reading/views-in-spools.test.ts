import { beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../../src/limits.ts';
import { MessageView } from '../../src/mail-view/message-view.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import type { InboundStory, OpenOutcome } from '../../src/pipeline/ports.ts';
import { SpooledViews, ViewCache } from '../../src/reading/view-cache.ts';
import { FakeTimers } from '../imap-proxy/support/fake-timers.ts';
import { imap, NO_KEY, reader, shown } from './support/readers.ts';
import { watchedSpool } from './support/watched-spool.ts';

/** Large views lie in spools; those are there as long as somebody reads the view or may soon, and not longer. */

const LARGE = 2 * limits.view.memoryOctets;
const HEADER =
  'From: alice@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n';
const ORIGINAL = Buffer.from(HEADER + `${'QUJD'.repeat(16)}\r\n`.repeat(Math.ceil(LARGE / 66)));
const CONTENT = Buffer.from(`Content-Type: text/plain\r\n\r\n${'all of it\r\n'.repeat(30_000)}`);

let watched: ReturnType<typeof watchedSpool>;
beforeEach(() => {
  watched = watchedSpool();
});

/** Opens to content in a spool, whatever it is asked. */
function spooledStory(content: Buffer, says?: OpenOutcome): InboundStory {
  return {
    async open() {
      if (says !== undefined) return says;
      const writer = watched.spool.begin();
      await writer.write(content);
      const entity = await writer.finish();
      return {
        ...{ kind: 'opened', entity, discard: () => entity.discard(), header: null },
        ...{ report: { layers: [] }, verdict: { kind: 'trusted' } },
      };
    },
  };
}

const open = { signal: new AbortController().signal, exhausted: new Map() };

/** Files are closed behind the back of whoever let go. */
async function left(spools: number): Promise<void> {
  while (watched.left() !== spools) await new Promise((resolve) => setImmediate(resolve));
}

describe('a large view', () => {
  it('is read where it lies, as often as wanted, and freed when its session forgets it', async () => {
    const views = reader(spooledStory(CONTENT), { spool: watched.spool });
    const opened = await views.open(imap(1), bufferSource(ORIGINAL), open);
    if (opened.kind !== 'view') throw new Error(opened.reason.text);
    expect(opened.view.length).toBe(ORIGINAL.length);
    expect(watched.left()).toBe(1);
    const whole = await collect(opened.view.octets.read());
    expect(whole.includes(CONTENT)).toBe(true);
    const part = await opened.view.part([1]);
    expect(part?.entity.mediaType.type).toBe('text');
    const at = whole.indexOf('all of it') + 100_001;
    expect(await collect(opened.view.read({ start: at, end: at + 20 }))).toEqual(whole.subarray(at, at + 20));
    opened.release();
    expect(views.cached(imap(1))).toBe(opened.view);
    expect(watched.left()).toBe(1);
    views.forget();
    await left(0);
  });

  it('stays under whoever reads it, whatever else is opened meanwhile', async () => {
    const views = reader(spooledStory(CONTENT), { spool: watched.spool });
    const opened = await views.open(imap(1), bufferSource(ORIGINAL), open);
    if (opened.kind !== 'view') throw new Error(opened.reason.text);
    for (let uid = 2; uid < 2 + limits.view.cachedViews; uid++) await shown(views, imap(uid), ORIGINAL);
    expect(views.cached(imap(1))).toBeNull();
    expect((await collect(opened.view.octets.read())).length).toBe(ORIGINAL.length);
    opened.release();
    opened.release();
    await left(limits.view.cachedViews);
  });

  it('of content that had to be made anew needs the one spool, and so does one without content', async () => {
    const bare = Buffer.from(
      CONTENT.toString().replaceAll('\r\n', '\n').replaceAll('all of it\n', 'all of it, a b c\n'),
    );
    const views = reader(spooledStory(bare), { spool: watched.spool });
    expect(await shown(views, imap(1), ORIGINAL)).toMatchObject({
      octets: expect.stringContaining('a b c\r\n'),
    });
    const foreign = reader(spooledStory(CONTENT, NO_KEY), { spool: watched.spool });
    const { octets } = (await shown(foreign, imap(1), ORIGINAL)) as { octets: string };
    expect(octets).toContain(ORIGINAL.toString('latin1', HEADER.length));
    views.forget();
    foreign.forget();
    await left(0);
  });

  it('that comes out differently than before leaves nothing behind', async () => {
    const views = reader(spooledStory(CONTENT), { spool: watched.spool });
    await shown(views, imap(1), ORIGINAL);
    views.forget();
    const other = reader(spooledStory(Buffer.from(CONTENT.toString().replace('all', 'ALL'))), {
      spool: watched.spool,
    });
    await shown(other, imap(1), ORIGINAL);
    await left(1);
    // The same session, the same message, another original of the same length.
    const changed = Buffer.from(ORIGINAL);
    changed.write('bob', HEADER.indexOf('alice'));
    expect(await shown(other, imap(1), changed)).toMatchObject({ code: 'SERVERBUG' });
    await left(1);
  });
});

describe('views that are kept', () => {
  const large: OctetSource = {
    length: 2 * limits.view.memoryOctets,
    read: () => bufferSource(Buffer.alloc(0)).read(),
  };

  function view(freed: string[], name: string, octets = large): MessageView {
    return new MessageView(octets, async () => void freed.push(name));
  }

  it('go when nobody has asked for one for a while', async () => {
    const timers = new FakeTimers();
    const cache = new ViewCache(timers, new SpooledViews());
    const freed: string[] = [];
    cache.keep('a', view(freed, 'a'));
    expect(cache.get('a')).not.toBeNull();
    await timers.pass(limits.view.cachedMs);
    expect(cache.get('a')).toBeNull();
    expect(freed).toEqual(['a']);
  });

  it('in spools are as many as all sessions may have together; the longest unasked goes first, whoever has it', () => {
    const spooled = new SpooledViews();
    const freed: string[] = [];
    const caches = Array.from(
      { length: limits.view.spooledViews },
      () => new ViewCache(new FakeTimers(), spooled),
    );
    for (const [at, cache] of caches.entries()) cache.keep('x', view(freed, String(at)));
    expect(freed).toEqual([]);
    caches[0]?.get('x');
    new ViewCache(new FakeTimers(), spooled).keep('x', view(freed, 'another'));
    expect(freed).toEqual(['1']);
    const huge = { ...large, length: limits.view.spooledOctets };
    new ViewCache(new FakeTimers(), spooled).keep('x', view(freed, 'huge', huge));
    expect(freed).toHaveLength(limits.view.spooledViews + 1);
    expect(freed).not.toContain('huge');
  });
});
