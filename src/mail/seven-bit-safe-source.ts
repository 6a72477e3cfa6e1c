import { unreachable } from '../errors.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';
import { transformed } from '../octets/transform.ts';
import { transformedSource } from '../octets/transformed-source.ts';
import type { Range } from './entity.ts';
import { readEntityFrom } from './entity-source.ts';
import { HazardSearch } from './hazards.ts';
import { beginForm } from './safe-forms.ts';
import { type Form, planSafe, type Question, type SafePiece } from './safe-plan.ts';

/**
 * `sevenBitSafe` for an entity of any size, by the same plan.
 *
 * The entity is looked at once or twice before this resolves; its safe form is made while it is read, as often as it is read.
 *
 * @throws as `sevenBitSafe`; the source's own
 */
export async function sevenBitSafeFrom(entity: OctetSource): Promise<OctetSource> {
  const plan = planSafe({ start: 0, end: entity.length });
  for (;;) {
    const step = plan.next();
    if (step.done === true) return joinedSource(joinWritten(step.value, entity));
    await answer(entity, step.value);
  }
}

async function answer(entity: OctetSource, question: Question): Promise<void> {
  const { range } = question;
  switch (question.ask) {
    case 'octets':
      question.answer = await collect(entity.read(range.start, range.end));
      return;
    case 'entity':
      question.answer = await readEntityFrom(entity, range, question.budget);
      return;
    case 'survey': {
      const search = new HazardSearch();
      if (question.form === 'as-is')
        await scan(entity, (octets) => search.update(octets), range.start, range.end);
      else for await (const chunk of inForm(entity, range, question.form)) search.update(chunk);
      question.answer = search.finish();
      return;
    }
    case 'conversion': {
      let length = 0;
      for await (const chunk of inForm(entity, range, question.form)) length += chunk.length;
      question.answer = { length, octets: null };
      return;
    }
    default:
      unreachable(question);
  }
}

function inForm(entity: OctetSource, { start, end }: Range, form: Form): OctetStream {
  const octets = entity.read(start, end);
  return form === 'as-is' ? octets : transformed(octets, beginForm(form));
}

/** What is written here is joined, so that it does not come line by line. */
function joinWritten(pieces: readonly SafePiece[], entity: OctetSource): OctetSource[] {
  const sources: OctetSource[] = [];
  let written: Buffer[] = [];
  const flush = (): void => {
    if (written.length > 0) sources.push(bufferSource(Buffer.concat(written)));
    written = [];
  };
  for (const piece of pieces) {
    if (piece.kind === 'octets') written.push(piece.octets);
    else {
      flush();
      sources.push(sourceOf(entity, piece));
    }
  }
  flush();
  return sources;
}

function sourceOf(
  entity: OctetSource,
  { range, form, conversion }: Extract<SafePiece, { kind: 'range' }>,
): OctetSource {
  const original = sliceOf(entity, range.start, range.end);
  return form === 'as-is' ? original : transformedSource(original, conversion.length, () => beginForm(form));
}
