import { type Dovecot, type DovecotOptions, startDovecot } from '../../../src/evaluation/dovecot.ts';
import {
  type SmtpUpstream,
  type SmtpUpstreamOptions,
  startSmtpUpstream,
} from '../../../src/evaluation/smtp-upstream.ts';
import { createThrowawayPki, type ThrowawayPki } from '../../../src/evaluation/throwaway-pki.ts';
import { type Started, started, temporaryFolder } from './disposable.ts';
import { startDovecotContainer } from './dovecot-container.ts';
import { engine } from './engine.ts';
import { gpgsm } from './gpgsm.ts';
import { mbsync } from './mbsync.ts';
import { nss } from './nss.ts';
import { nssToken } from './nss-token.ts';
import { pcsc } from './pcsc.ts';
import { postgresql } from './postgresql.ts';
import { softhsm } from './softhsm.ts';
import { swaks } from './swaks.ts';
import { tpmToken } from './tpm.ts';
import { virtualCard } from './virtual-card.ts';

/**
 * The one place from which tests get what others wrote: servers, clients, tokens, certification authorities. Each is
 * this test's own, on free ports and in a temporary folder, and is gone after `stop()` (or at the end of the block that
 * says `await using`).
 */
export const services = {
  async dovecot(options: DovecotOptions): Promise<Started<Dovecot>> {
    return started(await (engine() === 'docker' ? startDovecotContainer(options) : startDovecot(options)));
  },

  async smtpUpstream(options: SmtpUpstreamOptions): Promise<Started<SmtpUpstream>> {
    return started(await startSmtpUpstream(options));
  },

  async pki(): Promise<Started<ThrowawayPki>> {
    const { folder, remove } = await temporaryFolder('pki');
    return started({ ...(await createThrowawayPki(folder)), stop: remove });
  },

  softhsm,
  nssToken,
  tpmToken,
  pcsc,
  postgresql,
  virtualCard,
  gpgsm,
  nss,
  mbsync,
  swaks,
};
