import { writeFile } from 'node:fs/promises';
import { RENDERER_VERSION } from '../../../src/mail-view/render.ts';
import { goldenFile, goldenViews } from './golden-views.ts';

/** Writes down what a renderer of a new version makes; what a former one made is never written over. */
const text = JSON.stringify(await goldenViews(), null, 2);
await writeFile(goldenFile(RENDERER_VERSION), `${text}\n`, { flag: 'wx' });
