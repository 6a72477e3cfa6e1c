import { join } from 'node:path';
import { ROOT } from './prepare.mjs';

/**
 * Has Node keep what it makes of the source text, beside the packages and so closed to whoever may not change the program anyway. Without it
 * the gateway and each of its threads load what reads TypeScript: some 15 MB each, for good.
 */
export function keepCompiledCode() {
  process.env.NODE_COMPILE_CACHE ??= join(ROOT, 'node_modules/.cache/sealgate-code');
}
