import { everyEnd } from './support/every-end.ts';

everyEnd(null);
