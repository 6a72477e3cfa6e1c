import type { Command } from 'commander';
import { addCertDecisions } from './cert-decide.ts';
import { addCertList } from './cert-list.ts';

/** `sealgate cert …`: what is known of correspondents' certificates, and what people decide about them. */
export function addCertCommands(program: Command): void {
  const cert = program.command('cert').description('correspondents’ certificates');
  addCertList(cert);
  addCertDecisions(cert);
}
