// Promises: region and audience are refused wherever they could end a line, a quote or an argument.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Refusal } from '../../../src/api/refusal.ts';
import { needRegion, resolveAudience } from '../../../src/api/resolve-sts.ts';

const BLOCK = { field: 'spec.x', cloud: 'X' };

test('regions of all clouds are taken', () => {
  for (const region of ['eu-west-1', 'us-gov-west-1', 'cn-hangzhou', 'cn-beijing2', 'eusc-de-east-1', 'cn-edge-1']) {
    needRegion(BLOCK, region, 'eu-west-1');
  }
});

test("an audience that is left out is the cloud's own", () => {
  assert.equal(resolveAudience(BLOCK, undefined, 'sts.x'), 'sts.x');
  assert.equal(resolveAudience(BLOCK, 'https://y/~z@1=', 'sts.x'), 'https://y/~z@1=');
  assert.throws(() => resolveAudience(BLOCK, 'a'.repeat(256), 'sts.x'), Refusal);
});

test('property: what is accepted has only letters that no file, command or URL gives a meaning', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.stringMatching(/^[a-z]{2}-[a-z]{1,9}-[0-9]$/),
    fc.stringMatching(/^[a-z]{2}-[a-z0-9.\n"'/#@:;$%-]{1,12}$/),
  );
  let accepted = 0;
  fc.assert(
    fc.property(text, (drawn) => {
      try {
        needRegion(BLOCK, drawn, 'eu-west-1');
      } catch (error) {
        assert.ok(error instanceof Refusal, String(error));
        assert.match(error.violation.message, /^spec\.x\.region is /);
        return;
      }
      accepted += 1;
      assert.ok(/^[a-z0-9-]+$/.test(drawn) && !drawn.includes('\n') && drawn.length <= 64, drawn);
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 20, `only ${accepted} were accepted`);
});
