import { isDeepStrictEqual } from 'node:util';
import type { Entity } from '../../../src/mail/entity.ts';
import { readEntity } from '../../../src/mail/entity-tree.ts';
import { readHeader } from '../../../src/mail/header.ts';
import { bodyStructure } from '../../../src/mail-view/body-structure.ts';
import { canonicalEntity } from '../../../src/mail-view/canonical-entity.ts';
import { isTraceField, overlaidHeader } from '../../../src/mail-view/clear-signed-overlay.ts';
import { HeaderCleaner, withoutForgedStatus } from '../../../src/mail-view/forged-status.ts';
import { HeaderEnd } from '../../../src/mail-view/header-end.ts';
import { classifyHeader } from '../../../src/mail-view/message-class.ts';
import { MessageView } from '../../../src/mail-view/message-view.ts';
import { type RenderRequest, renderView } from '../../../src/mail-view/render.ts';
import { selectFields, shapeOfFields, shellFields } from '../../../src/mail-view/shape.ts';
import { viewBoundary, viewNames } from '../../../src/mail-view/view-names.ts';
import type { ViewOutcome } from '../../../src/mail-view/view-outcome.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collect } from '../../../src/octets/collect.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type { OctetSource } from '../../../src/octets/source.ts';
import { previewOf } from '../../../src/reading/preview.ts';
import type { SecurityReport } from '../../../src/smime/report.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';
import { corpusFiles } from './corpus.ts';
import { mailDictionary, mails } from './mail.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 7 3 INBOX');
const report: SecurityReport = {
  layers: [{ kind: 'encrypted', algorithm: 'aes256-gcm', authenticated: true, outcome: 'opened' }],
};
const dictionary = [
  ...mailDictionary,
  `--${boundary}`,
  'X-Sealgate-7f3a9c2e: x',
  'Authentication-Results: sealgate-7f3a9c2e.gw.example.net; x=pass\r\n',
  '7f3a9c2e',
  'DKIM-Signature: x\r\n',
  'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n',
  'Content-Type: text/html\r\n',
  'Content-Type: multipart/alternative; boundary=b\r\n',
];
const seeds = (): Buffer[] => [...mails, ...corpusFiles('', /\.eml$/, 8)];

const spool = encryptedSpool();

/** Nothing of it is in memory as one Buffer. */
function inPieces(source: OctetSource): OctetSource {
  return {
    length: source.length,
    async *read(start = 0, end = source.length) {
      for (let at = start; at < end; at += PIECE) yield* source.read(at, Math.min(end, at + PIECE));
    },
  };
}

const PIECE = 997;

function leavesOf(entity: Entity): readonly Entity[] {
  return entity.parts.length > 0 ? entity.parts.flatMap(leavesOf) : [entity];
}

function isFollowedByNobody({ mediaType: { type, subtype } }: Entity): boolean {
  return !/html|svg|xml|^enriched$|^rtf$/.test(subtype) && type !== 'message' && type !== 'multipart';
}

async function viewOf(request: RenderRequest) {
  const view = await renderView(request);
  const octets = await collect(view.octets.read());
  await view.discard();
  return { ...view, octets };
}

async function canonical(content: OctetSource, textOnly = false): Promise<Buffer> {
  const entity = await canonicalEntity(content, Buffer.from(`--${boundary}`), spool, textOnly);
  const octets = await collect(entity.octets.read());
  await entity.discard();
  return octets;
}

export const mailViewTargets: readonly FuzzTarget[] = [
  {
    name: 'mail-view-render',
    form: 'lines',
    allowed: ['mail.'],
    dictionary,
    budget: { ms: 200, usPerOctet: 20 },
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        // The first half as what is stored, the second as what was found in it; and each for both.
        const middle = input.length >> 1;
        const outcomes: ViewOutcome[] = [
          {
            kind: 'opened',
            entity: bufferSource(input.subarray(middle)),
            report,
            verdict: { kind: 'unsigned' },
          },
          { kind: 'opened', entity: bufferSource(input), report, verdict: { kind: 'broken', why: 'x' } },
          { kind: 'failed', report },
          { kind: 'no-key', report },
          { kind: 'as-is', report: null },
        ];
        const looked = outcomes.map(async (outcome) => {
          const original = outcome.kind === 'opened' ? input.subarray(0, middle) : input;
          const request = { outcome, boundary, names, spool };
          const { octets, overflow, annotation } = await viewOf({
            ...request,
            original: bufferSource(original),
          });
          holds(
            overflow ? octets.length > original.length : octets.length === original.length,
            'a view has the size of what is stored',
          );
          const form = { shell: 'transparent', padding: 'on' } as const;
          const bare = await viewOf({ ...request, form, original: bufferSource(original) });
          holds(
            bare.overflow || bare.octets.length === original.length,
            'so has one in the transparent shell',
          );
          const streamed = {
            ...outcome,
            ...('entity' in outcome ? { entity: inPieces(outcome.entity) } : {}),
          };
          const again = await viewOf({
            ...request,
            outcome: streamed,
            original: inPieces(bufferSource(original)),
          });
          holds(again.octets.equals(octets), 'pieces make the same view');
          const view = new MessageView(bufferSource(octets));
          holds(
            readHeader(octets, 0, octets.length).fields.every(({ name }) => name !== ''),
            'a view has a clean header',
          );
          return [octets, annotation, await bodyStructure(view, true), (await view.part([1])) ?? null];
        });
        return Promise.all(looked);
      },
    }),
  },
  {
    // A status in the place of trace fields, octet for octet.
    name: 'mail-view-overlay',
    form: 'lines',
    allowed: ['mail.'],
    dictionary: [...dictionary, 'Received: from a by b\r\n', 'ARC-Seal: x\r\n', 'X-MS-Exchange-A: b\r\n'],
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const end = new HeaderEnd().in(input);
        const header = input.subarray(0, end === -1 ? input.length : end);
        const status = `${names.statusField}: v=1; sig=valid\r\n`;
        const shown = overlaidHeader(header, status, names);
        if (shown === null) return null;
        holds(shown.length === header.length, 'it has as many octets');
        holds(shown.toString('latin1', 0, status.length) === status, 'the status is on top');
        holds(withoutForgedStatus(shown.subarray(status.length), names).length > 0, 'something is left');
        const fields = (octets: Buffer): string[] =>
          readHeader(octets, 0, octets.length)
            .fields.filter(
              ({ name }) => !isTraceField(name.toLowerCase()) && !/^x-sealgate-7f3a9c2e/i.test(name),
            )
            .map(({ range }) => octets.toString('latin1', range.start, range.end));
        holds(
          isDeepStrictEqual(fields(shown), fields(withoutForgedStatus(header, names))),
          'every other field is what it was',
        );
        return shown;
      },
    }),
  },
  {
    name: 'reading-preview',
    form: 'lines',
    allowed: ['mail.'],
    dictionary,
    prepare: () => ({
      seeds: seeds(),
      async run(input) {
        const words = await previewOf(new MessageView(bufferSource(input)));
        holds([...words].length <= 256, 'RFC 8970 §3.1: no more than 256 characters');
        holds(!/[\r\n\0]/.test(words), 'it is one line');
        return words;
      },
    }),
  },
  {
    name: 'mail-view-entity',
    form: 'lines',
    allowed: ['mail.'],
    budget: { ms: 100, usPerOctet: 8 },
    dictionary,
    prepare: () => ({
      seeds: seeds(),
      async run(input) {
        const once = await canonical(bufferSource(input));
        holds(!/\r(?!\n)|(?<!\r)\n|\0/.test(once.toString('latin1')), 'a canonical entity has clean lines');
        holds((await canonical(inPieces(bufferSource(input)))).equals(once), 'pieces make the same entity');
        const text = await canonical(bufferSource(input), true);
        holds(
          leavesOf(readEntity(text)).every(isFollowedByNobody),
          'a text-only entity has nothing to follow',
        );
        return [once, text];
      },
    }),
  },
  {
    name: 'mail-view-header',
    form: 'lines',
    allowed: ['mail.'],
    dictionary,
    prepare: () => ({
      seeds: [
        ...seeds(),
        Buffer.from(
          'Authentication-Results: sealgate-7f3a9c2e.gw.example.net; x=pass\r\nX-Sealgate-7f3a9c2e: y\r\n\r\n',
        ),
      ],
      run(input) {
        const cleaned = withoutForgedStatus(input, names);
        holds(cleaned.length === input.length, 'cleaning keeps the size');
        const cleaner = new HeaderCleaner(names);
        const pieces = Buffer.concat(chunksOf(input).map((chunk) => cleaner.clean(chunk)));
        holds(pieces.equals(cleaned), 'pieces are cleaned alike');
        holds(withoutForgedStatus(cleaned, names).equals(cleaned), 'what is clean stays as it is');
        const asked = new Set(['from', 'subject']);
        return [
          cleaned,
          classifyHeader(input),
          selectFields(input, asked, false),
          shapeOfFields(input, asked, Object.values(shellFields(boundary)), names),
        ];
      },
    }),
  },
];
