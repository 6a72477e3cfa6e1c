import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SigningKey } from '../../../src/cms/keys.ts';
import { createThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { openKeySources } from '../../../src/hsm/key-sources.ts';
import { createKeyring } from '../../../src/hsm/keyring.ts';
import { newMailId, newSessionId } from '../../../src/ids.ts';
import { silentLog } from '../../../src/log/log.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { outboundStory } from '../../../src/pipeline/outbound.ts';
import type { HandOver, Origin, OutboundStory } from '../../../src/pipeline/ports.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import { readCertificates } from '../../../src/pki/certificate-file.ts';
import type { Rule } from '../../../src/policy/rules.ts';
import type { Recipient } from '../../../src/smtp/envelope.ts';
import { ALWAYS } from '../../policy/always.ts';
import { liveKeys } from '../../support/live-keys.ts';
import { pemSource } from '../../support/pem-source.ts';
import { principalNamed } from '../../support/principal.ts';

/** The outbound story in this process, as gateway.ts puts it together, with nothing around it: no sockets, no database. */

export const SENDER = 'load@sealgate.test';
const RECIPIENT = 'sink@sealgate.test';

export type Engine = {
  /** From RCPT TO to the hand-over of one mail; throws if it is refused. */
  pass(octets: Buffer): Promise<void>;
  privateKey: KeyObject;
  sender: Certificate;
  recipient: Certificate;
  close(): Promise<void>;
};

export type EngineOptions = {
  sign: boolean;
  encrypt: boolean;
  /** Signs in no time, with nonsense: what remains is the engine. */
  instantKey?: boolean;
};

export async function startEngine({ sign, encrypt, instantKey = false }: EngineOptions): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-engine-'));
  const pki = await createThrowawayPki(join(folder, 'pki'));
  const identity = await pki.issueUser({ address: SENDER });
  const { certificate: recipientPem } = await pki.issueUser({ address: RECIPIENT });
  const { certificateFile: certificate, keyFile: key } = identity;
  const sources = await openKeySources([pemSource('load', { certificate, key })], { log: silentLog });
  await rm(folder, { recursive: true, force: true });
  const recipient = only(readCertificates(Buffer.from(recipientPem)));
  const story = outboundStory({
    keyring: createKeyring({
      principals: [{ login: SENDER, addresses: [SENDER], keys: ['load'] }],
      loginIsAddress: true,
      keys: instantKey ? liveKeys(sources.signing.map(instant), sources.decryption) : sources,
      log: silentLog,
      clock,
    }),
    directory: {
      find: async () => [{ certificate: recipient, trust: 'pinned', capabilities: [], source: 'file' }],
      harvest: async () => undefined,
    },
    delivered: NOTHING_DELIVERED,
    rules: [rule(sign, encrypt)],
    clock,
    log: silentLog,
  });
  return {
    pass: (octets) => pass(story, octets),
    privateKey: createPrivateKey(identity.key),
    sender: only(readCertificates(Buffer.from(identity.certificate))),
    recipient,
    close: () => sources.close(),
  };
}

const clock = () => new Date();
const NOTHING_DELIVERED = {
  has: async () => false,
  record: async () => undefined,
  forget: async () => undefined,
};
const ORIGIN: Origin = {
  session: newSessionId(),
  listener: 'bench',
  principal: principalNamed(SENDER),
  remote: '127.0.0.1',
};
const TO: Recipient = { mailbox: { localPart: 'sink', domain: 'sealgate.test' }, parameters: [] };
const ENVELOPE = {
  reversePath: { localPart: 'load', domain: 'sealgate.test' },
  mailParameters: [],
  recipients: [TO],
};
const SINK: HandOver = {
  upstream: { tls: false, requireTls: false },
  deliver: async () => ({ kind: 'accepted', reply: { code: 250, lines: ['2.0.0 Ok'] } }),
};

async function pass(story: OutboundStory, octets: Buffer): Promise<void> {
  story.expectRecipient(ORIGIN, TO);
  const submission = { id: newMailId(), origin: ORIGIN, envelope: ENVELOPE, octets: bufferSource(octets) };
  const { kind, reply } = await story.submit(submission, SINK);
  if (kind !== 'accepted') throw new Error(`refused: ${reply.lines.join(' ')}`);
}

function rule(sign: boolean, encrypt: boolean): Rule {
  const demand = (wanted: boolean) => (wanted ? 'require' : 'never');
  return {
    name: 'bench',
    when: ALWAYS,
    sign: demand(sign),
    encrypt: demand(encrypt),
    withoutCertificate: 'refuse-all',
    form: 'clear',
    alreadyProtected: 'forward',
    minTrust: 'harvested',
    revocation: null,
    requireTls: 'no',
    algorithms: null,
    steering: null,
    stripTag: false,
    ...{ introduce: false, notify: [], appendTo: null },
    subject: 'keep',
  };
}

function instant({ label, certificate, chain, schemes }: SigningKey): SigningKey {
  return { label, certificate, chain, schemes, sign: async () => Buffer.alloc(256) };
}

function only(certificates: readonly Certificate[]): Certificate {
  const [certificate] = certificates;
  if (certificate === undefined) throw new Error('no certificate was issued');
  return certificate;
}
