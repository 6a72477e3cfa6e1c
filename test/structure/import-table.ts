/**
 * Who may import whom: the table of docs/architecture.md as data. A test holds the two against each other and all imports
 * of src against this one.
 *
 * `mayImport` names folders of src or single files without their ending; `→ types` allows `import type` only.
 * `everything` is for the places that connect parts.
 */
export type ImportRow = { layer: number; folder: string; mayImport: readonly string[] };

/** What every folder may import. */
export const OPEN_TO_ALL: readonly string[] = ['errors', 'ids', 'limits', 'log'];

export const IMPORT_TABLE: readonly ImportRow[] = [
  { layer: 0, folder: 'octets', mayImport: [] },
  { layer: 0, folder: 'asn1', mayImport: ['octets'] },
  { layer: 0, folder: 'mail', mayImport: ['octets'] },
  { layer: 0, folder: 'sasl', mayImport: [] },
  { layer: 1, folder: 'smtp', mayImport: ['octets', 'mail', 'sasl'] },
  { layer: 1, folder: 'connections', mayImport: [] },
  { layer: 1, folder: 'dns', mayImport: [] },
  { layer: 1, folder: 'pki', mayImport: ['asn1', 'mail/address'] },
  { layer: 2, folder: 'cms', mayImport: ['octets', 'asn1', 'pki'] },
  { layer: 2, folder: 'store', mayImport: [] },
  { layer: 3, folder: 'trail', mayImport: ['store'] },
  { layer: 3, folder: 'smime', mayImport: ['octets', 'mail', 'cms', 'pki', 'asn1'] },
  {
    layer: 3,
    folder: 'hsm',
    mayImport: ['cms', 'pki', 'asn1', 'sasl/principal', 'pipeline/ports → types'],
  },
  {
    layer: 3,
    folder: 'directory',
    mayImport: [
      'connections/address-guard',
      'connections/http-exchange',
      'connections/loopback',
      'dns',
      'pki',
      'cms',
      'mail/address',
      'mail/entity',
      'mail/entity-tree',
      'mail/transfer-encoding',
      'store',
      'pipeline/ports → types',
    ],
  },
  {
    layer: 3,
    folder: 'revocation',
    mayImport: [
      'connections/address-guard',
      'connections/http-exchange',
      'pki',
      'asn1',
      'store',
      'pipeline/ports → types',
    ],
  },
  {
    layer: 4,
    folder: 'policy',
    mayImport: ['pki → types', 'smime/report → types', 'pipeline/ports → types'],
  },
  {
    layer: 4,
    folder: 'config',
    mayImport: [
      'directory/ldap/filter-template',
      'hsm/closed-to-others',
      'hsm/pkcs11-uri',
      'hsm/pkcs11-uri-place',
      'hsm/source-kinds → types',
      'pki/dn',
      'pki/mailbox',
      'sasl/canonical-login',
      'sasl/relayed-identity',
    ],
  },
  {
    layer: 5,
    folder: 'pipeline',
    mayImport: [
      'octets',
      'mail',
      'pki',
      'smime',
      'policy',
      'cms/keys → types',
      'smtp',
      'sasl/principal → types',
    ],
  },
  {
    layer: 6,
    folder: 'routing',
    mayImport: [
      'connections',
      'dns',
      'directory/smimea/association',
      'pki',
      'store',
      'smtp/envelope → types',
      'queue/ports → types',
    ],
  },
  { layer: 6, folder: 'smtp-out', mayImport: ['octets', 'smtp', 'mail', 'sasl', 'connections'] },
  {
    layer: 6,
    folder: 'mail-view',
    mayImport: ['octets', 'smtp', 'mail', 'smime/report → types', 'pki → types', 'pipeline/ports → types'],
  },
  {
    layer: 7,
    folder: 'smtp-in',
    mayImport: ['octets', 'pipeline/ports → types', 'smtp', 'mail', 'sasl', 'smtp-out', 'connections'],
  },
  { layer: 7, folder: 'reading', mayImport: ['pipeline/ports → types', 'octets', 'mail', 'mail-view'] },
  {
    layer: 8,
    folder: 'imap-proxy',
    mayImport: [
      'pipeline/ports → types',
      'octets',
      'mail',
      'mail-view',
      'reading',
      'sasl',
      'smtp',
      'connections',
    ],
  },
  {
    layer: 8,
    folder: 'pop3-proxy',
    mayImport: [
      'pipeline/ports → types',
      'octets',
      'mail',
      'mail-view',
      'reading',
      'sasl',
      'smtp',
      'connections',
    ],
  },
  {
    layer: 6,
    folder: 'imap-out',
    mayImport: ['octets/collect', 'connections', 'queue/ports → types', 'pipeline/archive-copies → types'],
  },
  {
    layer: 7,
    folder: 'queue',
    mayImport: [
      'octets',
      'pipeline/ports → types',
      'pipeline/notices → types',
      'policy/rules → types',
      'smtp',
      'mail',
      'cms',
      'smime',
      'smtp-out',
      'routing',
      'store',
      'sasl',
      'connections',
    ],
  },
  {
    layer: 8,
    folder: 'holding',
    mayImport: [
      'octets',
      'pipeline/ports → types',
      'pipeline/waiting → types',
      'smtp',
      'mail',
      'pki',
      'store',
      'queue',
    ],
  },
  { layer: 8, folder: 'cluster', mayImport: ['octets', 'queue', 'store'] },
  { layer: 1, folder: 'http', mayImport: ['connections'] },
  { layer: 9, folder: 'self-service', mayImport: ['http', 'holding'] },
  {
    layer: 7,
    folder: 'publishing',
    mayImport: ['asn1', 'pki', 'connections', 'http', 'pipeline/ports → types'],
  },
  { layer: 9, folder: 'evaluation', mayImport: ['everything'] },
  { layer: 9, folder: 'commands', mayImport: ['everything'] },
  { layer: 9, folder: 'gateway', mayImport: ['everything'] },
  { layer: 9, folder: 'gateway.ts', mayImport: ['everything'] },
  { layer: 9, folder: 'main.ts', mayImport: ['everything'] },
];

/** The row as docs/architecture.md writes it. */
export function rowText({ layer, folder, mayImport }: ImportRow): string {
  return `| ${layer} | ${folder} | ${mayImport.length === 0 ? '-' : mayImport.join(', ')} |`;
}

/**
 * Whether a file of src may import another.
 *
 * @param from, to paths below src with their ending: `smtp-in/session.ts`, `gateway.ts`.
 * @param typesOnly the import vanishes when types are stripped.
 */
export function mayImport(from: string, to: string, typesOnly: boolean): boolean {
  const target = to.replace(/\.ts$/, '');
  if (OPEN_TO_ALL.some((open) => covers(open, target))) return true;
  const home = from.includes('/') ? from.slice(0, from.indexOf('/')) : from;
  if (target.startsWith(`${home}/`)) return true;
  const row = IMPORT_TABLE.find(({ folder }) => folder === home);
  return (row?.mayImport ?? []).some((entry) => {
    if (entry === 'everything') return true;
    const [place = '', onlyTypes] = entry.split(' → ');
    return covers(place, target) && (onlyTypes === undefined || typesOnly);
  });
}

function covers(place: string, target: string): boolean {
  return target === place || target.startsWith(`${place}/`);
}
