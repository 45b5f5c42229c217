// Promises: of a Secret that was handed over only that is ours which the content-hash proves to be, whatever its notes say.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noteOfKeys, notedData, notedKeys, sharedInCached, sharedInLive } from '../../../src/credential/adoption.ts';
import { anAdopted, anOffered, FORMER_UID, withAnnotations } from '../../support/builders.ts';

const KEYS = 'workloadcredentials.io/data-keys';
const OURS = ['config', 'credentials.json'];
const noting = (keys: string | undefined) => withAnnotations(anAdopted(), { [KEYS]: keys });

test('our keys are noted in order, and read back', () => {
  assert.equal(noteOfKeys({ b: '', a: '' }), 'a,b');
  assert.deepEqual(notedKeys(anAdopted().metadata), OURS);
  assert.deepEqual(Object.keys(notedData(anAdopted())), OURS);
});

test('a note is read as keys and nothing else, each once', () => {
  assert.deepEqual(notedKeys(noting('a,,b/c,a, d,../x,__proto__').metadata), ['a', '__proto__']);
  assert.deepEqual(notedKeys(noting(undefined).metadata), []);
});

test('a key that every object has is no data', () => {
  assert.deepEqual(notedData(noting('constructor,__proto__,config')), { config: anAdopted().data?.['config'] });
});

test('what the content-hash covers is ours, also after another resource wrote it', () => {
  assert.deepEqual(sharedInLive(anAdopted()), { keys: OURS, exists: true });
  assert.deepEqual(sharedInLive(anAdopted({ ownerUID: FORMER_UID })).keys, OURS);
});

for (const [what, secret] of [
  ['a note that names a key of others too', noting('config,credentials.json,theirs')],
  ['a note that leaves a key out', noting('config')],
  ['a note of none', noting('')],
  ['no note', noting(undefined)],
  ['damaged data', { ...anAdopted(), data: { ...anAdopted().data, config: 'eA==' } }],
  ['a missing key', { ...anAdopted(), data: { theirs: 'eA==' } }],
  ['a Secret that was never taken', anOffered()],
] as const) {
  test(`${what}: nothing is proved ours, so nothing is removed`, () => {
    assert.deepEqual(sharedInLive(secret).keys, []);
  });
}

test('keys of others do not matter, and a Secret without data has none', () => {
  assert.deepEqual(
    sharedInLive({ ...anAdopted(), data: { ...anAdopted().data, theirs: 'bmV3', more: '' } }).keys,
    OURS,
  );
  assert.deepEqual(sharedInLive({ metadata: anOffered().metadata }), { keys: [], exists: false });
});

test('of a Secret in the cache, whose data were verified before, the note counts', () => {
  assert.deepEqual(sharedInCached(anAdopted().metadata), { keys: OURS, exists: true });
});
