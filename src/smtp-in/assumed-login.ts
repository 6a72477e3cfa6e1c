import { Principal } from '../sasl/principal.ts';
import type { Conversation } from './conversation.ts';

/**
 * For programs on this machine that cannot log in: an administrator has said that every client of this listener is taken
 * for one login. It is the one principal without a verdict of the upstream; its rights are that login's, no more.
 *
 * What never happens: that a client from another machine is taken for anybody, however the listener is bound.
 */
export function takeAssumedLogin(conversation: Conversation): void {
  const { log, settings } = conversation.ports;
  if (settings.assumeLogin === null || conversation.origin !== null) return;
  if (!settings.fromHere) return;
  conversation.origin = {
    session: conversation.id,
    listener: settings.listener,
    principal: Principal.named(settings.assumeLogin),
    remote: conversation.remote,
  };
  log.write({
    event: 'smtp.authenticated',
    level: 'info',
    session: conversation.id,
    principal: settings.assumeLogin,
    mechanism: 'assumed',
  });
}
