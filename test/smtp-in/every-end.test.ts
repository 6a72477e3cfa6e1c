import { everyEnd } from './support/every-end.ts';
import { KINDS } from './support/kinds.ts';

everyEnd(KINDS, null);
