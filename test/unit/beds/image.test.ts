// Shows that the build's npm is told what the machine's npm would have understood.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filledConfiguration } from '../../beds/image.ts';

test('variables of an npmrc are filled in, and those that are not set stay as they are', () => {
  const text = '//npm.example.com/:_authToken=${NPM_TOKEN}\nemail=${MISSING}\nregistry=https://npm.example.com/\n';
  assert.equal(
    filledConfiguration(text, { NPM_TOKEN: 'from-the-environment' }),
    '//npm.example.com/:_authToken=from-the-environment\nemail=${MISSING}\nregistry=https://npm.example.com/\n',
  );
});
