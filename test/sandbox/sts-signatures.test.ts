// Promises: the signature checks of the three STS accept what vendors' own signers signed (test/fixtures/sts-signatures.json says
// which, and how it was recorded), and refuse the same request with one character of any signed part changed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { ServerRequest } from '../../sandbox/http.ts';
import { isACS3SignedWith, parseACS3, unsignedHeaders } from '../../sandbox/sts/acs3-signature.ts';
import { AWS4, isSignedWith, parseAuthorization, VOLCENGINE } from '../../sandbox/sts/signature.ts';

interface Vector {
  readonly name: string;
  readonly cloud: 'AWS' | 'AlibabaCloud' | 'Volcengine';
  readonly secretAccessKey: string;
  readonly request: {
    readonly method: string;
    readonly target: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  };
}

const FIXTURE = new URL('../fixtures/sts-signatures.json', import.meta.url);
const { vectors } = JSON.parse(readFileSync(FIXTURE, 'utf8')) as { vectors: Vector[] };

function requestOf({ request }: Vector): ServerRequest {
  return { ...request, body: Buffer.from(request.body), signal: new AbortController().signal };
}

/** Whether a cloud takes the request for signed with the key. */
function isAccepted(cloud: Vector['cloud'], request: ServerRequest, secret: string): boolean {
  const header = request.headers['authorization'];
  if (cloud === 'AlibabaCloud') {
    const claim = parseACS3(header);
    if (claim === undefined || unsignedHeaders(request, claim).length > 0) return false;
    return isACS3SignedWith(request, claim, secret);
  }
  const dialect = cloud === 'AWS' ? AWS4 : VOLCENGINE;
  const claim = parseAuthorization(header, dialect);
  return claim !== undefined && isSignedWith(request, claim, secret, dialect);
}

/** The text with its last character another one of the same kind. */
function changed(text: string): string {
  const last = text.at(-1) ?? '';
  return `${text.slice(0, -1)}${/[0-9a-eA-E]/.test(last) ? String.fromCharCode(last === '9' ? 48 : last.charCodeAt(0) + 1) : 'a'}`;
}

/** Every signed part, changed by one character. */
function* forgeries(request: ServerRequest): Generator<readonly [what: string, forged: ServerRequest]> {
  const authorization = request.headers['authorization'] ?? '';
  const withHeader = (name: string, value: string): ServerRequest => ({
    ...request,
    headers: { ...request.headers, [name]: value },
  });
  yield ['the method', { ...request, method: 'PUT' }];
  const [path = '', query = ''] = request.target.split('?');
  yield ['the path', { ...request, target: `${path}x?${query}` }];
  const pairs = query === '' ? [] : query.split('&');
  for (const [at, pair] of pairs.entries()) {
    const [name = '', value = ''] = pair.split('=');
    const put = (text: string): string => `${path}?${pairs.with(at, text).join('&')}`;
    yield [`the name of ${name}`, { ...request, target: put(`${name}x=${value}`) }];
    yield [`the value of ${name}`, { ...request, target: put(`${name}=${value}x`) }];
    yield [`${name} left out`, { ...request, target: `${path}?${pairs.toSpliced(at, 1).join('&')}` }];
  }
  yield ['a parameter added', { ...request, target: `${path}?${[...pairs, 'zz=1'].join('&')}` }];
  for (const name of /SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';') ?? []) {
    yield [`the header ${name}`, withHeader(name, changed(request.headers[name] ?? ''))];
    const less = authorization.replace(new RegExp(`(SignedHeaders=[^,]*?);?${name}(?=[;,])`), '$1');
    yield [`${name} taken out of SignedHeaders`, withHeader('authorization', less)];
  }
  yield ['the body', { ...request, body: Buffer.concat([Buffer.from(request.body), Buffer.from('x')]) }];
  yield ['the signature', withHeader('authorization', changed(authorization))];
  const scope = /Credential=[^/,]+\/([^,]+),/.exec(authorization)?.[1]?.split('/') ?? [];
  for (const [at, part] of scope.entries()) {
    const other = scope.with(at, changed(part)).join('/');
    yield [`the scope's ${part}`, withHeader('authorization', authorization.replace(scope.join('/'), other))];
  }
}

describe('a signature by a vendor', () => {
  for (const vector of vectors) {
    test(`${vector.cloud}: ${vector.name} is accepted with its key, and with no other`, () => {
      const request = requestOf(vector);
      assert.equal(isAccepted(vector.cloud, request, vector.secretAccessKey), true);
      assert.equal(isAccepted(vector.cloud, request, `${vector.secretAccessKey}x`), false);
    });

    test(`${vector.cloud}: ${vector.name} is refused when one character of a signed part is another`, () => {
      const all = [...forgeries(requestOf(vector))];
      assert.ok(all.length >= 10, `${all.length}`);
      const accepted = all.filter(([, forged]) => isAccepted(vector.cloud, forged, vector.secretAccessKey));
      assert.deepEqual(
        accepted.map(([what]) => what),
        [],
      );
    });

    test(`${vector.cloud}: ${vector.name} stays accepted when only an unsigned header is added`, () => {
      const request = requestOf(vector);
      const headers = { ...request.headers, 'user-agent': 'another' };
      assert.equal(isAccepted(vector.cloud, { ...request, headers }, vector.secretAccessKey), true);
    });
  }

  test('every dialect has a vector that a vendor made', () => {
    assert.deepEqual([...new Set(vectors.map(({ cloud }) => cloud))].toSorted(), ['AWS', 'AlibabaCloud', 'Volcengine']);
  });
});

test('a header of a cloud that must be signed and is not makes the signature worthless', () => {
  const aws = vectors.find(({ cloud }) => cloud === 'AWS');
  const alibaba = vectors.find(({ cloud }) => cloud === 'AlibabaCloud');
  assert.ok(aws && alibaba);
  const added = ({ request }: Vector, name: string): ServerRequest => ({
    ...request,
    body: Buffer.from(request.body),
    headers: { ...request.headers, [name]: 'slipped-in' },
    signal: new AbortController().signal,
  });
  assert.equal(isAccepted('AWS', added(aws, 'x-amz-security-token'), aws.secretAccessKey), false);
  assert.equal(isAccepted('AlibabaCloud', added(alibaba, 'x-acs-security-token'), alibaba.secretAccessKey), false);
});

test('a header of another dialect is no claim', () => {
  for (const text of [
    undefined,
    '',
    'Bearer x',
    'HMAC-SHA256 Credential=a/20260101/r/sts/aws4_request, SignedHeaders=a, Signature=00',
  ]) {
    assert.equal(parseAuthorization(text, VOLCENGINE), undefined);
    assert.equal(parseAuthorization(text, AWS4), undefined);
    assert.equal(parseACS3(text), undefined);
  }
});
