import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judge } from './judge.ts';
import { People } from './people.ts';
import { CONTENT, Sealgate } from './sealgate.ts';
import { ECDSA, RSA } from './signature-rows.ts';
import { EVERY_KIND, type Program, Refusal, type Row, type Specification } from './specification.ts';

/** A table of interoperation that cannot say FAILED says nothing: the judge, with programs that behave badly on purpose. */

let people: People;
let ours: Sealgate;

beforeAll(() => {
  people = new People();
  ours = new Sealgate(people, '');
});
afterAll(async () => {
  await ours.close();
  people.remove();
});

const row: Row = { group: '', name: '', message: { kind: 'signed', signers: [RSA] } };

/** Makes and reads as the engine does, but for what is given. */
function program(behaviour: Partial<Pick<Program, 'make' | 'read'>>): Program {
  return {
    name: 'stub',
    version: '',
    kinds: EVERY_KIND,
    make: (message) => ours.make(message),
    read: (message, octets, content) => ours.read(message, octets, content),
    close: () => Promise.resolve(),
    ...behaviour,
  };
}

async function cells(behaviour: Partial<Pick<Program, 'make' | 'read'>>, of: Row = row) {
  const { cells: found } = await judge(of, ours, [program(behaviour)], people);
  const [cell] = found;
  if (cell === undefined) throw new Error('no cell');
  return cell;
}

const refuse = () => Promise.reject(new Refusal('no such algorithm'));

describe('what a cell says', () => {
  it('ok, when both do what they should', async () => {
    expect(await cells({})).toMatchObject({ toUs: { outcome: 'ok' }, fromUs: { outcome: 'ok' } });
  });

  it("not offered, when a program refuses to make it and to read anybody's", async () => {
    expect(await cells({ make: refuse, read: refuse })).toMatchObject({
      toUs: { outcome: 'not-offered', reason: 'no such algorithm' },
      fromUs: { outcome: 'not-offered', reason: 'no such algorithm (no other program here writes one)' },
    });
  });

  it('not offered, when a program makes something else than it was asked for', async () => {
    const other: Specification = { kind: 'signed', signers: [ECDSA] };
    const { toUs } = await cells({ make: () => ours.make(other) });
    expect(toUs).toEqual({ outcome: 'not-offered', reason: 'it makes signed by ecdsa-sha256' });
  });

  it('FAILED, when a program reads its own message and not ours', async () => {
    // Signatures with ECDSA differ each time.
    const elliptic: Row = { ...row, message: { kind: 'signed', signers: [ECDSA] } };
    const own = Buffer.from(await ours.make(elliptic.message));
    const { fromUs } = await cells(
      {
        make: () => Promise.resolve(own),
        read: (message, octets, content) =>
          octets.equals(own) ? ours.read(message, octets, content) : refuse(),
      },
      elliptic,
    );
    expect(fromUs).toEqual({
      outcome: 'failed',
      reason: "no such algorithm; it reads another program's",
    });
  });

  it('FAILED, when we cannot read what a program made', async () => {
    const damaged = async (message: Specification): Promise<Buffer> => {
      const octets = Buffer.from(await ours.make(message));
      octets.write('X', octets.indexOf('Good morning'));
      return octets;
    };
    const { toUs } = await cells({ make: damaged });
    expect(toUs).toMatchObject({ outcome: 'failed', reason: 'bad rsa-pkcs1-sha256' });
  });

  it('FAILED, when a program takes a changed message for a good one', async () => {
    const { fromUs } = await cells({ read: () => Promise.resolve(CONTENT) });
    expect(fromUs).toMatchObject({ outcome: 'failed', reason: 'it takes a changed message for a good one' });
  });

  it('FAILED, when we do not make what we should', async () => {
    const impossible: Row = { ...row, message: { kind: 'compressed' } };
    expect((await cells({}, impossible)).fromUs).toMatchObject({
      outcome: 'failed',
      reason: 'we: not written',
    });
  });

  it('FAILED, when we read what the table says we never read', async () => {
    expect((await cells({}, { ...row, neverRead: 'on purpose' })).toUs).toMatchObject({ outcome: 'failed' });
  });

  it('FAILED, when the matrix itself is at fault', async () => {
    const broken = () => Promise.reject(new TypeError('a slip'));
    expect(await cells({ make: broken, read: broken })).toMatchObject({
      toUs: { outcome: 'failed' },
      fromUs: { outcome: 'failed' },
    });
  });
});
