// Shows that a reader of the documentation changes nothing in a block but what it says it does.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { replaceWords, withValues } from '../../support/document-reader.ts';

describe('a reader of the documentation', () => {
  test('replaces whole words in capitals, and no heading of a column', () => {
    const text = "kubectl get wcred NAME -o custom-columns='NAME:.metadata.name,NAMES:.x'";
    const replaced = "kubectl get wcred a$& -o custom-columns='NAME:.metadata.name,NAMES:.x'";
    assert.equal(replaceWords(text, { NAME: 'a$&' }), replaced);
  });

  test('gives further values to an installation, and to nothing else', () => {
    const text =
      'kubectl create namespace shop\nhelm install wc ./helm --namespace n \\\n  --set a=b\nhelm upgrade wc ./helm\n';
    const further =
      "kubectl create namespace shop\nhelm install wc ./helm --set 'c.d=e' --set 'f=g' --namespace n \\\n  --set a=b\nhelm upgrade wc ./helm\n";
    assert.equal(withValues(text, ['c.d=e', 'f=g']), further);
    assert.equal(withValues(text, []), text);
  });
});
