import { isDeepStrictEqual } from 'node:util';
import { SealgateError } from '../../../src/errors.ts';
import { readArguments, readCommandStart } from '../../../src/imap-proxy/client-command.ts';
import { idArgument, readClientId } from '../../../src/imap-proxy/client-id.ts';
import { copiedIn } from '../../../src/imap-proxy/copied-messages.ts';
import {
  FetchItems,
  planFetch,
  readFetchCommand,
  saysUid,
  withUid,
} from '../../../src/imap-proxy/fetch-plan.ts';
import { FetchResponseReader } from '../../../src/imap-proxy/fetch-response.ts';
import { Framer, type FramerEvent, type FramerSide } from '../../../src/imap-proxy/framer.ts';
import {
  capabilityList,
  cleanCapability,
  cleanStatus,
  mailboxNewsOf,
  readServerLine,
} from '../../../src/imap-proxy/server-line.ts';
import { viewNames } from '../../../src/mail-view/view-names.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');
const text = (...lines: string[]): Buffer[] => lines.map((line) => Buffer.from(line, 'latin1'));

const dictionary = [
  '{3}\r\nabc',
  '{3+}\r\nabc',
  '~{2}\r\nab',
  '{4294967295}\r\n',
  '* 1 FETCH (',
  'BODY[HEADER.FIELDS (From)]',
  'BODY[1.2.MIME]<0.10>',
  'BODYSTRUCTURE ',
  'ENVELOPE (',
  'UID 7 ',
  '* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x',
  'OK [COPYUID 38 4,7:8 11:12,20] x',
  'a FETCH 1:9 (FLAGS PREVIEW (LAZY)) (CHANGEDSINCE 5 VANISHED)',
  'a FETCH 7 ALL',
  'BINARY.PEEK[1.2]<0.9>',
  '+ ',
  '"',
  '\\',
  '(',
  ')',
  'NIL',
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
];

/** A client's, and a mail server's. */
const FRAMING = ['imap.framing', 'upstream.framing'];

/** Lines, and literals joined again; `end` says where reading stopped. */
function frame(side: FramerSide, chunks: readonly Buffer[]): { events: FramerEvent[]; end: string } {
  const framer = new Framer(side, 20_000);
  const events: FramerEvent[] = [];
  try {
    for (const chunk of chunks) {
      framer.push(chunk);
      for (let event = framer.next(); event !== null; event = framer.next()) add(events, event);
    }
    return { events, end: `${framer.inside} ${framer.buffered}` };
  } catch (error) {
    if (error instanceof SealgateError && FRAMING.includes(error.code)) return { events, end: error.code };
    throw error;
  }
}

function add(events: FramerEvent[], event: FramerEvent): void {
  const last = events.at(-1);
  if (event.type === 'literal' && last?.type === 'literal') {
    last.octets = Buffer.concat([last.octets, event.octets]);
    last.remaining = event.remaining;
  } else events.push(event.type === 'literal' ? { ...event } : event);
}

export const imapTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-framer',
    form: 'lines',
    budget: { ms: 100, usPerOctet: 8 },
    allowed: FRAMING,
    dictionary,
    prepare: () => ({
      seeds: text(
        'a LOGIN {3}\r\nbob {4+}\r\npass\r\nb NOOP\r\n',
        '* 1 FETCH (UID 7 BODY[] {5}\r\nhello FLAGS ())\r\n* OK {3}\r\na OK done\r\n',
        'a APPEND x ~{3}\r\n\0\0\0\r\n',
        'x\n\r\n',
      ),
      run(input) {
        return (['client', 'server'] as const).map((side) => {
          const whole = frame(side, [input]);
          const pieces = frame(side, chunksOf(input));
          holds(isDeepStrictEqual(pieces, whole), 'pieces give the same events');
          const given = whole.events.reduce((sum, { octets }) => sum + octets.length, 0);
          // A client's lone LF becomes CRLF, so there may be more.
          holds(side === 'client' || given <= input.length, 'nothing is given out twice');
          return whole;
        });
      },
    }),
  },
  {
    name: 'imap-fetch-response',
    form: 'octets',
    allowed: FRAMING,
    dictionary,
    prepare: () => ({
      seeds: text(
        '* 1 FETCH (FLAGS (\\Seen $X) UID 7 RFC822.SIZE 3 INTERNALDATE "a ) b" BODY[HEADER.FIELDS (From "To")] {3}\r\na)b)\r\n',
        '* 1 FETCH (BODY[]<0> {2}\r\nxy ENVELOPE ("d" {4}\r\n(")" ((NIL NIL "a" "b")) NIL) MODSEQ (5))\r\n',
      ),
      run(input) {
        const framer = new Framer('server', 100_000);
        framer.push(input);
        const reader = new FetchResponseReader(new FetchItems(names));
        for (let event = framer.next(); event !== null && !reader.ended; event = framer.next()) {
          if (event.type === 'literal') {
            if (reader.nested) reader.nestedLiteral(event.octets);
            continue;
          }
          const line = event.first ? readServerLine(event.octets) : null;
          if (line !== null && line.kind !== 'fetch') continue;
          const at = line === null ? 0 : line.at;
          if (reader.line(event.octets.subarray(at), event.literal, event.first) === false) break;
        }
        return [reader.ended, reader.items];
      },
    }),
  },
  {
    name: 'imap-lines',
    form: 'octets',
    allowed: [],
    dictionary,
    prepare: () => ({
      seeds: text(
        'a1 UID FETCH 1:*,5 (FLAGS BODY.PEEK[HEADER.FIELDS (From To)]<0.20> BODY[1.2.TEXT])\r\n',
        'a LOGIN "bob" "pa\\"ss"\r\n',
        'a SEARCH (FROM "x" (OR 1 2))\r\n',
        '* CAPABILITY IMAP4rev1 IDLE X-ODD\r\n',
        'a OK [CAPABILITY IMAP4rev2 COMPRESS=DEFLATE] [REFERRAL imap://x] done {3}\r\n',
        '* OK [UIDVALIDITY 7] x\r\n',
        '* VANISHED (EARLIER) 1:5\r\n',
      ),
      run(input) {
        const line = Buffer.concat([
          Buffer.from(input.toString('latin1').replace(/[\r\n]/g, ' '), 'latin1'),
          CRLF,
        ]);
        const start = readCommandStart(line);
        const id = start === null ? null : readClientId([{ kind: 'text', text: start.argument }]);
        if (id !== null) {
          const said = idArgument(id);
          holds(/^[\x20-\x7e]*$/.test(said), 'what an ID passes on is one line');
          const again = readClientId([{ kind: 'text', text: said }]);
          holds(again !== null && idArgument(again) === said, 'it reads as it was written');
        }
        const status = cleanStatus(line, { storesAtRest: false, hidden: new Set() });
        const capability = cleanCapability(line, { storesAtRest: true, hidden: new Set(['IDLE']) });
        for (const cleaned of [status, capability]) {
          holds(cleaned.indexOf(CRLF) === cleaned.length - 2, 'what was cleaned is one line');
        }
        holds(!/\{[0-9]+\+?\}\r\n$/.test(status.toString('latin1')), 'a status ends in no literal');
        const found: unknown[] = [start, readServerLine(line), capabilityList(line), mailboxNewsOf(line)];
        if (start !== null) {
          const fetch = readFetchCommand(start.name.startsWith('UID'), start.argument);
          if (fetch !== null) {
            const more = readFetchCommand(fetch.byUid, withUid(fetch));
            holds(more !== null && saysUid(more), 'with UID a FETCH is still one');
            holds(more?.items.length === fetch.items.length + 1, 'UID is one more item');
            holds(more?.modifiers === fetch.modifiers && more?.set === fetch.set, 'and nothing else changes');
          }
          found.push(copiedIn(line));
          found.push(
            fetch,
            planFetch(fetch, names),
            readArguments([{ kind: 'text', text: ` ${start.argument}` }]),
          );
        }
        return found;
      },
    }),
  },
];

const CRLF = Buffer.from('\r\n');
