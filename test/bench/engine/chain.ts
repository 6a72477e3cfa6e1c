import { createHash, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as pkijs from 'pkijs';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import { type Certificate, parseCertificate } from '../../../src/pki/certificate.ts';
import { CertificateSet } from '../../../src/pki/certificate-set.ts';
import { CrlSet } from '../../../src/pki/crl-set.ts';
import { validatePath } from '../../../src/pki/path.ts';
import { writePem } from '../../../src/pki/pem.ts';
import { checkRevocation } from '../../../src/pki/revocation.ts';
import {
  basicConstraints,
  extendedKeyUsage,
  generalName,
  type KeyPair,
  keyIds,
  keyUsage,
  makeCertificate,
  subjectAltName,
} from '../../pki/make-certificate.ts';
import { makeCrl } from '../../pki/make-crl.ts';
import type { Benchmark, Contender } from '../benchmark.ts';
import { inProcess } from './in-process.ts';

/**
 * Chains of three certificates (RSA-2048): 200 people below one CA below one root, in turn. All of them were seen before, as
 * those of people who write every day.
 */

const PEOPLE = 200;
const EMAIL_PROTECTION = '1.3.6.1.5.5.7.3.4';
const HOUR = 3_600_000;

export function chains(): Benchmark {
  return {
    name: 'chain',
    unit: 'chain',
    about: 'a path of three RSA-2048 certificates, built and validated, everybody seen before',
    contenders: [
      ours('sealgate, path', false),
      ours('  with revocation by CRLs in memory', true),
      neverSeen(),
      pkijsPeer(),
      opensslPeer(),
      bareVerification(),
    ],
  };
}

type World = {
  root: Certificate;
  ca: Certificate;
  people: readonly Certificate[];
  rootKey: KeyPair;
  caKey: KeyPair;
};

let made: World | null = null;

function world(): World {
  if (made !== null) return made;
  const pair = (): KeyPair => generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [rootKey, caKey, personKey] = [pair(), pair(), pair()];
  const id = (name: string) => createHash('sha1').update(name).digest();
  const validity = { notBefore: new Date(Date.now() - HOUR), notAfter: new Date(Date.now() + 240 * HOUR) };
  const scheme = 'rsa-sha256' as const;
  const ofCa = [basicConstraints(true), keyUsage(5, 6)];
  const root = makeCertificate({
    ...{ subject: 'Root', key: rootKey, issuerKey: rootKey, scheme, ...validity },
    extensions: [...ofCa, ...keyIds(id('root'), null)],
  });
  const ca = makeCertificate({
    ...{ subject: 'CA', issuer: 'Root', key: caKey, issuerKey: rootKey, scheme, ...validity },
    extensions: [...ofCa, ...keyIds(id('ca'), id('root'))],
  });
  const people = Array.from({ length: PEOPLE }, (_, i) =>
    makeCertificate({
      ...{ subject: `Person ${i}`, issuer: 'CA', key: personKey, issuerKey: caKey, scheme, ...validity },
      serial: 1_000_000 + i,
      extensions: [
        keyUsage(0, 2),
        extendedKeyUsage(false, EMAIL_PROTECTION),
        subjectAltName(generalName.mailbox(`person-${i}@example.org`)),
        ...keyIds(null, id('ca')),
      ],
    }),
  );
  made = { root, ca, people, rootKey, caKey };
  return made;
}

function ours(name: string, withRevocation: boolean): Contender {
  return inProcess(name, 'ours', async () => {
    const { root, ca, people, rootKey, caKey } = world();
    const pool = new CertificateSet([ca]);
    const anchors = new CertificateSet([root]);
    const times = { thisUpdate: new Date(Date.now() - HOUR), nextUpdate: new Date(Date.now() + 24 * HOUR) };
    const entries = Array.from({ length: 10_000 }, (_, i) => ({ serial: 50_000_000 + i, reason: 1 }));
    const crls = new CrlSet([
      makeCrl({ issuer: 'Root', key: rootKey, scheme: 'rsa-sha256', ...times }),
      makeCrl({ issuer: 'CA', key: caKey, scheme: 'rsa-sha256', ...times, entries }),
    ]);
    const at = new Date();
    let turn = 0;
    return {
      once: async () => {
        const certificate = inTurn(people, turn++);
        const report = validatePath({ certificate, pool, anchors, at, purpose: 'email-protection' });
        if (report.outcome === 'invalid') throw new Error(report.problems[0]?.text);
        if (!withRevocation) return;
        const { verdict } = checkRevocation({ path: report.path, crls, ocspResponses: [], pool, at });
        if (verdict !== 'good') throw new Error(verdict);
      },
      stop: async () => undefined,
    };
  });
}

/** A certificate that nobody has seen, below a CA that is known: read, and its signature verified. */
function neverSeen(): Contender {
  return inProcess('  read, never seen before, refused', 'ours', async () => {
    const { root, ca, caKey } = world();
    const pool = new CertificateSet([ca]);
    const anchors = new CertificateSet([root]);
    const at = new Date();
    let serial = 2_000_000;
    const ders: Buffer[] = [];
    const scheme = 'rsa-sha256' as const;
    const validity = { notBefore: new Date(Date.now() - HOUR), notAfter: new Date(Date.now() + 240 * HOUR) };
    for (let i = 0; i < 100; i++) {
      const issued = { subject: 'New', issuer: 'CA', key: caKey, issuerKey: caKey, scheme, ...validity };
      ders.push(makeCertificate({ ...issued, serial: serial++, extensions: [keyUsage(0, 2)] }).der);
    }
    let turn = 0;
    return {
      once: async () => {
        const der = inTurn(ders, turn);
        // Issuing a good one for every turn would take minutes; a bad signature takes as long to verify.
        const fresh = Buffer.from(der);
        fresh.writeUInt32BE(turn++, fresh.length - 4);
        validatePath({ certificate: parseCertificate(fresh), pool, anchors, at });
      },
      stop: async () => undefined,
    };
  });
}

function pkijsPeer(): Contender {
  return inProcess('pkijs', 'peer', async () => {
    const { root, ca, people } = world();
    const read = ({ der }: Certificate) => pkijs.Certificate.fromBER(new Uint8Array(der).buffer);
    const [trusted, intermediate] = [read(root), read(ca)];
    const persons = people.map(read);
    const checkDate = new Date();
    let turn = 0;
    return {
      once: async () => {
        const engine = new pkijs.CertificateChainValidationEngine({
          trustedCerts: [trusted],
          certs: [intermediate, inTurn(persons, turn++)],
          checkDate,
        });
        const { result, resultMessage } = await engine.verify();
        if (!result) throw new Error(resultMessage);
      },
      stop: async () => undefined,
    };
  });
}

/** One process for all people: it starts once, reads every file and remembers nothing. */
function opensslPeer(): Contender {
  return {
    name: 'openssl verify',
    role: 'peer',
    async start() {
      const { root, ca, people } = world();
      const folder = await mkdtemp(join(tmpdir(), 'sealgate-chain-'));
      const file = async (name: string, { der }: Certificate) => {
        const path = join(folder, name);
        await writeFile(path, writePem('CERTIFICATE', der));
        return path;
      };
      const rootFile = await file('root.pem', root);
      const caFile = await file('ca.pem', ca);
      const files = await Promise.all(people.map((person, i) => file(`${i}.pem`, person)));
      const args = ['verify', '-purpose', 'smimesign', '-CAfile', rootFile, '-untrusted', caFile, ...files];
      return {
        async run(size) {
          const times = size === 'quick' ? 5 : 20;
          const before = performance.now();
          for (let i = 0; i < times; i++) await runProgram('openssl', args);
          return { units: times * PEOPLE, seconds: (performance.now() - before) / 1000, cpuSeconds: null };
        },
        stop: () => rm(folder, { recursive: true, force: true }),
      };
    },
  };
}

/** What two signatures cost: nobody who verifies both can be faster. */
function bareVerification(): Contender {
  return inProcess('crypto.verify alone, twice', 'limit', async () => {
    const { root, ca, people } = world();
    let turn = 0;
    return {
      once: async () => {
        const person = inTurn(people, turn++);
        const good =
          verify('sha256', person.tbs, ca.publicKey, person.signature) &&
          verify('sha256', ca.tbs, root.publicKey, ca.signature);
        if (!good) throw new Error('a signature that is not good');
      },
      stop: async () => undefined,
    };
  });
}

function inTurn<T>(items: readonly T[], turn: number): T {
  const item = items[turn % items.length];
  if (item === undefined) throw new Error('nobody there');
  return item;
}
