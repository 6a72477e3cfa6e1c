import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MailId, SessionId } from '../../src/ids.ts';
import type { Event } from '../../src/log/events.ts';
import { createLog, type LogOptions } from '../../src/log/pino-log.ts';
import { Secret } from '../../src/log/secret.ts';

const at = new Date('2026-11-22T01:02:03.456Z');
const mail = 'mail1' as MailId;
const session = 'session1' as SessionId;

function linesOf(options: Omit<LogOptions, 'stream'>, ...events: Event[]): string[] {
  let written = '';
  const stream = {
    write(text: string) {
      written += text;
    },
  };
  const log = createLog({ ...options, stream }, () => at);
  for (const event of events) log.write(event);
  expect(written === '' || written.endsWith('\n')).toBe(true);
  return written.split('\n').slice(0, -1);
}

const refused = (reason: string): Event => ({
  event: 'mail.refused',
  level: 'warn',
  mail,
  code: 'policy.no-rule',
  reason,
});

describe('a line for people', () => {
  test('has time, level, event and fields', () => {
    expect(linesOf({ level: 'info', format: 'text' }, refused('No rule "all" applies.'))).toEqual([
      '2026-11-22T01:02:03.456Z WARN  mail.refused mail=mail1 code=policy.no-rule reason="No rule \\"all\\" applies."',
    ]);
  });

  test('shows what is not there as a hyphen, and a hyphen as a text', () => {
    const event: Event = {
      event: 'smtp.refused',
      level: 'info',
      session,
      ...{ remote: '192.0.2.1', listener: 'submission' },
      mail: null,
      code: 550,
      reason: '-',
    };
    expect(linesOf({ level: 'info', format: 'text' }, event)[0]).toMatch(/ mail=- code=550 reason="-"$/);
  });
});

describe('a line for machines', () => {
  test('is one JSON object', () => {
    const [line] = linesOf({ level: 'info', format: 'json' }, refused('x'));
    expect(JSON.parse(line ?? '')).toEqual({
      level: 'warn',
      time: '2026-11-22T01:02:03.456Z',
      event: 'mail.refused',
      mail: 'mail1',
      code: 'policy.no-rule',
      reason: 'x',
    });
  });
});

describe.each(['text', 'json'] as const)('as %s', (format) => {
  test('less important events than asked for are not written', () => {
    const closed: Event = { event: 'smtp.closed', level: 'debug', session, cause: 'quit' };
    expect(linesOf({ level: 'info', format }, closed)).toEqual([]);
    expect(linesOf({ level: 'debug', format }, closed)).toHaveLength(1);
    expect(linesOf({ level: 'error', format }, closed, refused('x'))).toEqual([]);
  });

  test('a secret that got into an event shows as [secret], octets as their number', () => {
    const event = {
      event: 'key.used',
      level: 'info',
      principal: new Secret('hunter2'),
      key: Buffer.from('hunter2'),
      operation: 'sign',
      mail: { pin: 'hunter2' },
      outcome: 'done',
    } as unknown as Event;
    const [line] = linesOf({ level: 'info', format }, event);
    expect(line).toContain('[secret]');
    expect(line).toContain('[7 octets]');
    expect(line).not.toContain('hunter2');
    expect(line).not.toContain(Buffer.from('hunter2').toString('hex'));
  });

  test.each([
    ['a line end', 'x\r\n2026-11-22T01:02:03.456Z ERROR gateway.defect where=forged'],
    ['a terminal sequence', '\x1b[2J\x1b]0;title\x07'],
    ['a C1 sequence', '\x9b2J'],
    ['text that runs backwards', '\u202eoga\u2066'],
    ['a line separator of Unicode', 'x\u2028y\u2029z'],
    ['half a character', '\ud800'],
    ['NUL', 'a\0b'],
  ])('%s from a stranger stays inside its field', (_, reason) => {
    const lines = linesOf({ level: 'info', format }, refused(reason));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('u{');
    expect(lines[0]).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
  });

  test('a very long value is cut and says so', () => {
    const [line] = linesOf({ level: 'info', format }, refused('x'.repeat(1_000_000)));
    expect(line?.length).toBeLessThan(3_000);
    expect(line).toContain('(1000000 characters)');
  });
});

test('no value can look like a field of its own in a line for people', () => {
  const field = /^[a-z-]+=(?:[A-Za-z0-9._:/@+<>,-]+|"(?:[^"\\]|\\.)*")(?: |$)/;
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.string(), (code, reason) => {
      const event: Event = { event: 'mail.refused', level: 'warn', mail, code, reason };
      const [line, ...more] = linesOf({ level: 'info', format: 'text' }, event);
      expect(more).toEqual([]);
      let rest = (line ?? '').slice('2026-11-22T01:02:03.456Z WARN  mail.refused '.length);
      const keys: string[] = [];
      while (rest !== '') {
        const match = field.exec(rest);
        expect(match).not.toBeNull();
        keys.push(rest.slice(0, rest.indexOf('=')));
        rest = rest.slice(match?.[0].length ?? rest.length);
      }
      expect(keys).toEqual(['mail', 'code', 'reason']);
    }),
    { numRuns: 500 },
  );
});
