import { parseFailure } from '../messages.ts';
import { ANSWER_HEAD_OCTETS, type Answer, DONE, FAILED } from './operation-frames.ts';

/**
 * The content of an answer's frame. null: not an answer. The octets are a copy: they may be secret, and chunks live long.
 *
 * Apart from operation-frames.ts, which the threads of a key process load: they check no failures, and start sooner without.
 */
export function readAnswer(frame: Buffer): Answer | null {
  if (frame.length < ANSWER_HEAD_OCTETS) return null;
  const id = frame.readUInt32BE(0);
  const content = frame.subarray(ANSWER_HEAD_OCTETS);
  if (frame[4] === DONE) return { id, octets: Buffer.from(content) };
  if (frame[4] !== FAILED) return null;
  try {
    const failure = parseFailure(JSON.parse(content.toString('utf8')));
    return failure === null ? null : { id, failure };
  } catch {
    // Not JSON: not an answer.
    return null;
  }
}
