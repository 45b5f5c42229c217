// Promises: the languages that lists and watches are asked in: label selectors, field selectors, continue tokens and list
// options, good and bad, one text after the other.
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { credential, secret } from './samples.ts';

/** Asks for each text; what comes is compared, not stated here. */
async function askEach(s: Scene, path: string, parameter: string, texts: readonly string[]): Promise<void> {
  const names = ({ items }: JSONValue): JSONValue => items.map(({ metadata }: JSONValue) => metadata.name);
  for (const text of texts) {
    await s.any('GET', `${path}?${parameter}=${encodeURIComponent(text)}`, { pick: names });
  }
}

async function labelled(s: Scene): Promise<void> {
  const labels = [{ n: '5', a: 'b', e: '' }, { n: 'x', a: 'c' }, { 'x.y/a': 'b', in: 'notin' }, {}];
  for (const [index, each] of labels.entries()) {
    const metadata = { name: `s${index}`, labels: each };
    await s.post(s.secrets(), secret(`s${index}`, { metadata }), 201, { record: false });
  }
}

const READABLE = (
  'a|!a|! a|a in (b,c)|a notin (b)|a in ()|a in (,)|a in (b,)|a in (b,,c)|n>4|n<4|n > 4|n<9|a==b|a!=b|a=|e=|e|in=b|notin|in|' +
  'in in (notin)|a=in|x.y/a=b|a=b,!zz|a>1,b<2|a\tin\t(b)|a=b,e|n notin (x,5)|e in ()'
).split('|');
const UNREADABLE = (
  'a b|a in b|=x|a=b=c|a=x y|a in (b|a in (b,|n>x|n gt 4|a!b|a in (b)(c)|a,|a,,b|,a|()|a=(b)|-a|a/b/c|A B|a=-|a in (-)|a!|!|' +
  '!!a|!a=b|/a|a/|a in (b c)|a notin b|!a in (b)|n>4x|n>-1|n>5.5|a=%|a===b|>5|n>|a=b,|a@b|a=b;c|a in (|a notin|a in ((b))'
).split('|');

const encoded = (text: string): string => Buffer.from(text).toString('base64url');
const TOKENS = [
  'x',
  'xx',
  'x!',
  'abcde',
  'a=',
  ...['{}', '[]', '{', '"x"', '{"v":"meta.k8s.io/v2","rv":5,"start":"a"}'].map(encoded),
  ...['{"v":"meta.k8s.io/v1"}', '{"v":"meta.k8s.io/v1","rv":5}'].map(encoded),
  ...['{"v":"meta.k8s.io/v1","rv":-1,"start":"../x"}', '{"v":"meta.k8s.io/v1","rv":-1,"start":"a//b"}'].map(encoded),
  ...['{"v":"meta.k8s.io/v1","rv":"x","start":"/a"}', '{"v":5,"rv":1,"start":"/a"}'].map(encoded),
  ...['{"v":"meta.k8s.io/v1","rv":-1,"start":"s1"}', '{"v":"meta.k8s.io/v1","rv":-1,"start":"/s2"}'].map(encoded),
];

export const selectorCases: readonly ConformanceCase[] = [
  {
    name: 'label selectors in every form',
    run: async (s) => {
      await labelled(s);
      await askEach(s, s.secrets(), 'labelSelector', READABLE);
    },
  },
  {
    name: 'label selectors that cannot be read, and why',
    run: async (s) => {
      await askEach(s, s.secrets(), 'labelSelector', UNREADABLE);
    },
  },
  {
    name: 'label selectors of our resource',
    run: async (s) => {
      await s.post(s.credentials(), credential('one', {}, { labels: { team: 'a' } }), 201, { record: false });
      await s.post(s.credentials(), credential('two', {}, { labels: { team: 'b' } }), 201, { record: false });
      await askEach(s, s.credentials(), 'labelSelector', [
        'team',
        'team!=a',
        'team in (a,b)',
        'team notin (a)',
        'team=-',
      ]);
    },
  },
  {
    name: 'field selectors in every form',
    run: async (s) => {
      await labelled(s);
      const texts = [
        'a',
        'a=b',
        'metadata.name',
        'metadata.name=a=b',
        'metadata.name=s1,',
        'metadata.name=s1\\,b',
        'metadata.name=s1\\x',
        'metadata.name!=s1',
        'metadata.name==s1',
        '=a',
        'metadata.name=',
        'type=Opaque',
        'type!=Opaque',
        `metadata.name=s1,metadata.namespace=${s.namespace}`,
        '!metadata.name',
        'metadata.name>s1',
        ',',
        'metadata.name=s1\\=b',
        'metadata.name=s1\\',
        'type=Opaque,metadata.name!=s1',
        'data.key=x',
      ];
      await askEach(s, s.secrets(), 'fieldSelector', texts);
      await askEach(s, s.leases(), 'fieldSelector', ['metadata.name=x', 'spec.holderIdentity=x']);
      await askEach(s, s.accounts(), 'fieldSelector', ['metadata.name=nothing', 'type=x']);
    },
  },
  {
    name: 'field selectors of our resource in every form',
    run: async (s) => {
      await s.post(s.credentials(), credential('one'), 201, { record: false });
      const other = credential('two', { serviceAccountName: 'billing' });
      await s.post(s.credentials(), other, 201, { record: false });
      const texts = [
        'spec.serviceAccountName=orders',
        'spec.serviceAccountName!=orders',
        'status.cloud=',
        'status.cloud=AWS',
      ];
      await askEach(s, s.credentials(), 'fieldSelector', [...texts, 'status.secret.name=', 'spec.suspend=true', 'x']);
    },
  },
  {
    name: 'continue tokens that are none, and why',
    run: async (s) => {
      await labelled(s);
      for (const token of TOKENS) {
        await s.any('GET', `${s.secrets()}?limit=1&continue=${encodeURIComponent(token)}`, {
          pick: ({ items, metadata }) => [items[0]?.metadata.name, metadata.remainingItemCount],
        });
      }
      await s.any('GET', `${s.secrets()}?limit=1&continue=${TOKENS.at(-1)}&resourceVersion=5`);
    },
  },
  {
    name: 'options of a list that are not numbers',
    run: async (s) => {
      for (const query of ['limit=x', 'limit=1.5', 'timeoutSeconds=x', 'watch=1&timeoutSeconds=x', 'limit=']) {
        await s.any('GET', `${s.secrets()}?${query}`);
      }
      await s.any('GET', `${s.secrets()}?limit=-1`, { pick: ({ items }) => items });
    },
  },
  {
    name: 'a limit with version 0 is not kept',
    run: async (s) => {
      await labelled(s);
      const shape = ({ items, metadata }: JSONValue): JSONValue => [items.length, Object.keys(metadata).toSorted()];
      for (const query of ['limit=1&resourceVersion=0', 'limit=1&resourceVersion=', 'limit=1']) {
        await s.any('GET', `${s.secrets()}?${query}`, { pick: shape });
      }
    },
  },
];
