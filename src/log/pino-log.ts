import { type DestinationStream, pino } from 'pino';
import type { Event } from './events.ts';
import type { Log } from './log.ts';
import { printable } from './printable.ts';
import { textLine, valueAsText } from './text-line.ts';

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
        if (lines.isLevelEnabled(event.level)) stream.write(`${textLine(clock(), forLines(event))}\n`);
      },
    };
  }
  return {
    write(event) {
      const { level: importance } = event;
      // Most events of a mail are of no importance where a load is: then nothing is made of them.
      if (lines.isLevelEnabled(importance)) lines[importance](shown(forLines(event)));
    },
  };
}

/** Without the recipients, blind copies among them: they are in the trail alone, which goes after its days. */
function forLines(event: Event): Event {
  if (!('to' in event)) return event;
  const { to: _, ...others } = event;
  return others as Event;
}

/** The event's fields, without its level, with nothing in them but values that may be printed. */
function shown(event: Event): Record<string, unknown> {
  const { level: _, ...fields } = event;
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, shownValue(value)]));
}

function shownValue(value: unknown): unknown {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  return printable(valueAsText(value));
}
