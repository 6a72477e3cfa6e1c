import type { Command } from 'commander';
import { addCertDecisions } from './cert-decide.ts';
import { addCertExport } from './cert-export.ts';
import { addCertImport } from './cert-import.ts';
import { addCertList } from './cert-list.ts';
import { addCertLookup } from './cert-lookup.ts';
import { addCertWhy } from './cert-why.ts';

/** `sealgate cert …`: what is known of correspondents' certificates, and what people decide about them. */
export function addCertCommands(program: Command): void {
  const cert = program.command('cert').description('correspondents’ certificates');
  addCertList(cert);
  addCertWhy(cert);
  addCertLookup(cert);
  addCertDecisions(cert);
  addCertImport(cert);
  addCertExport(cert);
}
