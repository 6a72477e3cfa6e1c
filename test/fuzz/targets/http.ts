import { Routes } from '../../../src/http/routes.ts';
import { readFields, readTarget } from '../../../src/http/target.ts';
import { limits } from '../../../src/limits.ts';
import { type FuzzTarget, holds } from '../target.ts';

const route = (path: string) => ({ path, get: () => Promise.reject(new Error('not asked')) });
const routes = new Routes([route('/held'), route('/held/:token'), route('/certificates/search.cgi')]);

/** What HTTP clients ask for and send. */
export const httpTargets: readonly FuzzTarget[] = [
  {
    name: 'http-target',
    form: 'octets',
    allowed: [],
    dictionary: ['/held/', '/..', '%2e', '%2F', '%5c', '%00', '//', '?', '&', '=', '%C3%A9', '\\', '#'],
    prepare: () => ({
      seeds: ['/held/abc', '/certificates/search.cgi?email=a%40b.example', '/', '/a%20b?x&y=%2B'].map(
        (text) => Buffer.from(text),
      ),
      run(input) {
        const text = input.toString('latin1');
        const target = readTarget(text);
        if (target === null) return null;
        const { pathname, host } = new URL(text, 'http://host.example');
        holds(host === 'host.example', 'it never names another host');
        const plain = pathname
          .split('/')
          .slice(1)
          .map((segment) => decodeURIComponent(segment));
        holds(
          target.segments.length === 0 ? pathname === '/' : plain.join('/') === target.segments.join('/'),
          'other readers find the same place',
        );
        for (const segment of target.segments) {
          holds(!/^\.{0,2}$|[/\\\0-\x1f\x7f]/.test(segment), 'no segment leads elsewhere');
        }
        holds(target.query.length <= limits.http.fields, 'there are no more fields than may be');
        return [target.segments.length, routes.find(target.segments)?.route.path ?? null];
      },
    }),
  },
  {
    name: 'http-form',
    form: 'octets',
    allowed: [],
    dictionary: ['&', '=', '+', '%', '%25', '%C3%A9', '%ff', '&&', 'choice=', 'recipient='],
    prepare: () => ({
      seeds: ['choice=wait&recipient=a%40b.example&some=yes', 'a=1&a=2', '&', '%C3%A9=+'].map((text) =>
        Buffer.from(text),
      ),
      run(input) {
        const text = input.toString('latin1');
        const fields = readFields(text);
        if (fields === null) return null;
        holds(fields.length <= limits.http.fields, 'there are no more fields than may be');
        const written = new URLSearchParams(fields.map(([name, value]) => [name, value])).toString();
        const again = text === '' ? [] : readFields(written);
        holds(JSON.stringify(again) === JSON.stringify(fields), 'what is read is read again');
        return fields.length;
      },
    }),
  },
];
