import { unreachable } from '../errors.ts';
import { printable } from '../log/printable.ts';
import type { Verdict } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import type {
  HeaderProtectionReport,
  Layer,
  SecurityReport,
  SignatureReport,
  SignedLayer,
} from '../smime/report.ts';

/** What opening one message found, as a page for people and as JSON. Names from certificates are a stranger's words. */

export type Opened = { outcome: string; report: SecurityReport; verdict: Verdict };

/** Lines without line ends. */
export function reportLines({ outcome, report, verdict }: Opened): string[] {
  const layers = report.layers.flatMap((layer, depth) => layerLines(layer, '  '.repeat(depth)));
  return [
    ...(layers.length === 0 ? ['neither signed nor encrypted'] : layers),
    ...(report.headerProtection === undefined ? [] : headerLines(report.headerProtection)),
    `opened         ${outcome}`,
    `verdict        ${verdict.kind}${'why' in verdict ? `: ${printable(verdict.why)}` : ''}`,
  ];
}

export function reportJson({ outcome, report, verdict }: Opened): unknown {
  return {
    outcome,
    verdict,
    layers: report.layers.map((layer) =>
      layer.kind === 'signed'
        ? {
            kind: layer.kind,
            form: layer.form,
            signatures: layer.signatures.map(plainSignature),
            certificates: layer.certificates.map(plainCertificate),
          }
        : layer,
    ),
    headerProtection: report.headerProtection ?? null,
  };
}

function layerLines(layer: Layer, indent: string): string[] {
  switch (layer.kind) {
    case 'encrypted': {
      const how = layer.authenticated ? 'authenticated' : 'not authenticated';
      return [`${indent}encrypted      ${printable(layer.algorithm)} (${how}): ${layer.outcome}`];
    }
    case 'compressed':
      return [`${indent}compressed     ${layer.outcome}`];
    case 'signed':
      return signedLines(layer, indent);
    default:
      return unreachable(layer);
  }
}

function signedLines({ form, signatures, certificates }: SignedLayer, indent: string): string[] {
  if (signatures.length === 0) {
    return [
      `${indent}certificates   nothing is signed`,
      ...certificates.map(({ subject }) => `${indent}  ${printable(subject.text)}`),
    ];
  }
  return signatures.flatMap((signature) => [
    `${indent}signed         ${form}, ${printable(signature.algorithm)}: ${signature.signature}`,
    ...signatureLines(signature).map((line) => `${indent}  ${line}`),
  ]);
}

function signatureLines(report: SignatureReport): string[] {
  const { signer, signedAt, checks, path, revocation, revocationDetail, speaksFor } = report;
  return [
    ...(signer === null ? [] : signerLines(signer)),
    ...(signedAt === null ? [] : [`signed at    ${signedAt.toISOString()} (the signer's word)`]),
    ...checks.map(({ check, outcome }) => `check        ${check}: ${outcome}`),
    ...pathLines(path),
    `revocation   ${revocation}${revocationDetail === null ? '' : `: ${printable(revocationDetail)}`}`,
    `speaks for   ${speaksFor === 'from' ? 'the From address' : speaksFor}`,
  ];
}

function signerLines({
  subject,
  issuer,
  mailboxes,
  notBefore,
  notAfter,
  fingerprint,
}: Certificate): string[] {
  return [
    `signer       ${printable(subject.text)}`,
    `addresses    ${printable(mailboxes.join(', ')) || 'none'}`,
    `issuer       ${printable(issuer.text)}`,
    `valid        ${notBefore.toISOString()} to ${notAfter.toISOString()}`,
    `fingerprint  ${fingerprint}`,
  ];
}

function pathLines(path: SignatureReport['path']): string[] {
  if (path === null) return ['path         not looked at'];
  if (path.outcome === 'valid') {
    return [
      `path         valid, to ${printable(path.anchor.subject.text)} (${path.path.length} certificates)`,
    ];
  }
  return path.problems.map(({ check, text }) => `path         ${check}: ${printable(text)}`);
}

function headerLines({
  scheme,
  kind,
  signed,
  encrypted,
  fields,
  fromMismatch,
}: HeaderProtectionReport): string[] {
  const by = [...(signed ? ['signed'] : []), ...(encrypted ? ['encrypted'] : [])].join(' and ');
  const differing = fields.filter(({ differs }) => differs).map(({ name }) => name);
  return [
    `header         protected (${scheme}${kind === null ? '' : `, ${kind}`}): ${by || 'by nothing'}`,
    ...(differing.length === 0 ? [] : [`  differs outside: ${differing.join(', ')}`]),
    ...(fromMismatch ? ['  From inside is not the one outside'] : []),
  ];
}

function plainSignature({ signer, path, ...rest }: SignatureReport) {
  return {
    ...rest,
    signer: signer === null ? null : plainCertificate(signer),
    path:
      path === null
        ? null
        : path.outcome === 'valid'
          ? { outcome: path.outcome, path: path.path.map(plainCertificate) }
          : {
              outcome: path.outcome,
              problems: path.problems.map(({ check, text, certificate }) => ({
                check,
                text,
                certificate: certificate.fingerprint,
              })),
            },
  };
}

function plainCertificate(certificate: Certificate) {
  return {
    subject: certificate.subject.text,
    issuer: certificate.issuer.text,
    serialNumber: certificate.serialNumber.toString('hex'),
    mailboxes: certificate.mailboxes,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    fingerprint: certificate.fingerprint,
  };
}
