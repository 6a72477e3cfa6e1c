import { type DestinationStream, pino } from 'pino';
import type { Event } from './events.ts';
import type { Log } from './log.ts';
import { printable } from './printable.ts';
import { textLine } from './text-line.ts';

export type LogOptions = {
  /** Least important events that are written. */
  level: 'debug' | 'info' | 'warn' | 'error';
  /** Lines for people, or one JSON object a line. */
  format: 'text' | 'json';
  /** Where lines go; a writable stream will do. */
  stream: DestinationStream;
};

/**
 * The log as operators read it. Only declared events get in (events.ts), and of their values only text, numbers, booleans and
 * null get out as they are: a Secret shows as `[secret]`, octets as their number.
 */
export function createLog({ level, format, stream }: LogOptions, clock: () => Date = () => new Date()): Log {
  const lines = pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"time":"${clock().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    stream,
  );
  if (format === 'text') {
    return {
      write(event) {
        if (lines.isLevelEnabled(event.level))
          stream.write(
            `${textLine(
              clock(),
              shown(event, (text) => text),
            )}\n`,
          );
      },
    };
  }
  return {
    write(event) {
      if (!lines.isLevelEnabled(event.level)) return;
      const { level: importance, ...fields } = shown(event, printable);
      lines[importance](fields);
    },
  };
}

/** The event with nothing in it but values that may be printed. */
function shown(event: Event, text: (text: string) => string): Event {
  const fields = Object.entries(event).map(([key, value]) => [key, shownValue(value, text)]);
  return Object.fromEntries(fields) as Event;
}

function shownValue(value: unknown, text: (text: string) => string): unknown {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  if (value instanceof Uint8Array) return `[${value.length} octets]`;
  // Secret says `[secret]` of itself; other objects say no more than that they are one.
  return text(String(value));
}
