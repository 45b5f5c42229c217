// Promises: TokenRequest, the issuer's documents, who may enter, and what a bearer may do.
import assert from 'node:assert/strict';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { configMap, secret } from './samples.ts';

const token = (s: Scene, name: string): string => `${s.accounts(name)}/token`;

function claims(jwt: string): JSONValue {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString());
}

async function account(s: Scene): Promise<void> {
  await s.post(s.accounts(), { metadata: { name: 'orders' } });
}

async function grant(s: Scene, rules: readonly object[], name = 'reader'): Promise<void> {
  const rbac = 'rbac.authorization.k8s.io/v1';
  await s.post(s.in(rbac, 'roles'), { apiVersion: rbac, kind: 'Role', metadata: { name }, rules });
  await s.post(s.in(rbac, 'rolebindings'), {
    apiVersion: rbac,
    kind: 'RoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ kind: 'ServiceAccount', name: 'orders', namespace: s.namespace }],
  });
}

export const tokenCases: readonly ConformanceCase[] = [
  {
    name: 'a token for an audience',
    run: async (s) => {
      await account(s);
      const spec = { audiences: ['sts.amazonaws.com'], expirationSeconds: 600 };
      const made = await s.post(token(s, 'orders'), {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec,
      });
      const { aud, exp, iat, sub, iss } = claims(made.status.token);
      assert.deepEqual(aud, ['sts.amazonaws.com']);
      assert.equal(exp - iat, 600);
      assert.equal(sub, `system:serviceaccount:${s.namespace}:orders`);
      assert.equal(iss, s.client.origin);
    },
  },
  {
    name: 'a token for several audiences',
    run: async (s) => {
      await account(s);
      await s.post(token(s, 'orders'), { spec: { audiences: ['b', 'a'], expirationSeconds: 3600 } });
    },
  },
  {
    name: 'a token without wishes is for the API server and an hour',
    run: async (s) => {
      await account(s);
      const made = await s.post(token(s, 'orders'), { spec: {} });
      const { aud, exp, iat } = claims(made.status.token);
      assert.deepEqual(aud, [s.client.origin]);
      // The real server lets such a token live for a year, so that old clients notice nothing, and says so in a claim.
      assert.ok(exp - iat >= 3600);
    },
  },
  {
    name: 'a token of seven minutes is too short and one of two hours is not too long',
    run: async (s) => {
      await account(s);
      await s.post(token(s, 'orders'), { spec: { audiences: ['a'], expirationSeconds: 420 } }, 422);
      await s.post(token(s, 'orders'), { spec: { audiences: ['a'], expirationSeconds: 599 } }, 422);
      await s.post(token(s, 'orders'), { spec: { audiences: ['a'], expirationSeconds: 7200 } });
    },
  },
  {
    name: 'a token of more than two to the 32nd seconds',
    run: async (s) => {
      await account(s);
      await s.post(token(s, 'orders'), { spec: { audiences: ['a'], expirationSeconds: 4_294_967_297 } }, 422);
    },
  },
  {
    name: 'a token of a ServiceAccount that is not there',
    run: async (s) => {
      await s.post(token(s, 'nobody'), { spec: { audiences: ['a'] } }, 404);
      await s.post('/api/v1/namespaces/nowhere/serviceaccounts/nobody/token', { spec: { audiences: ['a'] } }, 404);
    },
  },
  {
    name: 'a token is bound to a Secret',
    run: async (s) => {
      await account(s);
      const { metadata } = await s.post(s.secrets(), secret('a'));
      const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name: 'a', uid: metadata.uid };
      const made = await s.post(token(s, 'orders'), {
        spec: { audiences: ['a'], expirationSeconds: 600, boundObjectRef },
      });
      assert.deepEqual(claims(made.status.token)['kubernetes.io'].secret, { name: 'a', uid: metadata.uid });
    },
  },
  {
    name: 'a token is bound to nothing that is not there',
    run: async (s) => {
      await account(s);
      const boundObjectRef = { apiVersion: 'v1', kind: 'Secret', name: 'a' };
      await s.post(token(s, 'orders'), { spec: { audiences: ['a'], boundObjectRef } }, 404);
      await s.post(token(s, 'orders'), { spec: { boundObjectRef: { ...boundObjectRef, kind: 'ConfigMap' } } }, 400);
    },
  },
  {
    name: 'a token is bound to the uid that is meant',
    run: async (s) => {
      await account(s);
      await s.post(s.secrets(), secret('a'));
      const boundObjectRef = {
        apiVersion: 'v1',
        kind: 'Secret',
        name: 'a',
        uid: '11111111-2222-4333-8444-555555555555',
      };
      await s.post(token(s, 'orders'), { spec: { audiences: ['a'], boundObjectRef } }, 409);
    },
  },
  {
    name: 'the token path takes a POST only',
    run: async (s) => {
      await account(s);
      await s.get(token(s, 'orders'), 405);
      await s.delete(token(s, 'orders'), undefined, 405);
    },
  },
  {
    name: 'a token request of another kind or shape',
    run: async (s) => {
      await account(s);
      await s.post(token(s, 'orders'), { apiVersion: 'v1', kind: 'Secret' }, 400);
      await s.post(token(s, 'orders'), { spec: { expirationSeconds: '600' } }, 400);
      await s.post(token(s, 'orders'), { spec: { audiences: 'a' } }, 400);
    },
  },
  {
    name: 'a token that is tried dry',
    run: async (s) => {
      await account(s);
      const path = `${token(s, 'orders')}?dryRun=All`;
      await s.post(path, { spec: { audiences: ['a'], expirationSeconds: 600 } });
    },
  },
  {
    name: 'the documents of the issuer are open to anybody',
    run: async (s) => {
      const document = await s.get('/.well-known/openid-configuration', 200, { bearer: 'anonymous' });
      assert.equal(document.issuer, s.client.origin);
      const keys = await s.get('/openid/v1/jwks', 200, {
        bearer: 'anonymous',
        headers: { accept: 'application/jwk-set+json, application/json' },
        pick: ({ keys: all, ...rest }) => ({
          ...rest,
          keys: all.map(({ n, kid, ...key }: JSONValue) => ({ ...key, n: n.length, kid: kid.length })),
        }),
      });
      assert.equal(keys.keys[0].alg, 'RS256');
    },
  },
  {
    name: 'the keys of the issuer have a media type of their own',
    run: async (s) => {
      await s.get('/openid/v1/jwks', 406, { bearer: 'anonymous' });
    },
  },
  {
    name: 'who is not known is told so',
    run: async (s) => {
      await s.get(s.secrets(), 401, { bearer: 'nonsense' });
      await s.get('/api', 401, { bearer: 'nonsense' });
      await s.get('/version', 401, { bearer: 'nonsense' });
      await s.get(s.secrets(), 401, { bearer: 'a.b.c' });
      const watch = await s.watch(`${s.secrets()}?watch=true`, { bearer: 'nonsense' });
      await watch.rest();
    },
  },
  {
    name: 'a token of another audience does not enter',
    run: async (s) => {
      await account(s);
      const { body } = await s.client.send({
        method: 'POST',
        path: token(s, 'orders'),
        body: JSON.stringify({ spec: { audiences: ['elsewhere'], expirationSeconds: 600 } }),
      });
      await s.get(s.secrets(), 401, { bearer: body.status.token });
    },
  },
  {
    name: 'a token ends with its ServiceAccount',
    slow: true,
    run: async (s) => {
      const bearer = await s.bearer('orders');
      await s.get('/api', 200, { bearer, record: false });
      await s.delete(s.accounts('orders'));
      await s.eventually('/version', ({ status }) => status === 401, { bearer });
    },
  },
  {
    name: 'who comes without a token is anonymous and may do nothing',
    run: async (s) => {
      await s.get(s.secrets(), 403, { bearer: 'anonymous' });
      await s.get('/api/v1/namespaces', 403, { bearer: 'anonymous' });
      await s.get('/apis', 403, { bearer: 'anonymous' });
    },
  },
  {
    name: 'health and version are open to anybody',
    run: async (s) => {
      for (const path of ['/healthz', '/livez', '/readyz']) await s.get(path, 200, { bearer: 'anonymous' });
      const pick = ({ major, minor }: JSONValue): JSONValue => ({ major, minor });
      await s.get('/version', 200, { bearer: 'anonymous', pick });
    },
  },
  {
    name: 'a ServiceAccount without a role may do nothing to a Secret',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      await s.post(s.secrets(), secret('a'));
      await s.get(s.secrets('a'), 403, { bearer });
      await s.get(s.secrets(), 403, { bearer });
      await s.get(`${s.secrets()}?watch=true`, 403, { bearer });
      await s.post(s.secrets(), secret('b'), 403, { bearer });
      await s.put(s.secrets('a'), secret('a'), 403, { bearer });
      await s.delete(s.secrets('a'), undefined, 403, { bearer });
      await s.delete(s.secrets(), undefined, 403, { bearer });
      await s.get(s.secrets('none'), 403, { bearer });
    },
  },
  {
    name: 'a ServiceAccount without a role may do nothing elsewhere',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      await s.get('/api/v1/secrets', 403, { bearer });
      await s.get('/api/v1/namespaces', 403, { bearer });
      await s.get(s.credentials(), 403, { bearer });
      await s.merge(`${s.credentials('orders')}/status`, {}, 404);
      await s.post(token(s, 'orders'), { spec: {} }, 403, { bearer });
      await s.get('/metrics', 403, { bearer });
    },
  },
  {
    name: 'a Role lets a ServiceAccount read',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      await s.post(s.secrets(), secret('a'));
      await grant(s, [{ apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list'] }]);
      await s.eventually(s.secrets('a'), ({ status }) => status === 200, { bearer });
      await s.get(s.secrets(), 200, { bearer });
      await s.get(`${s.secrets()}?watch=true`, 403, { bearer });
      await s.delete(s.secrets('a'), undefined, 403, { bearer });
      await s.get(s.configMaps('a'), 403, { bearer });
      await s.get('/api/v1/namespaces/default/secrets', 403, { bearer });
    },
  },
  {
    name: 'a Role names its objects',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      await s.post(s.configMaps(), configMap('a'));
      await grant(s, [
        { apiGroups: [''], resources: ['configmaps'], resourceNames: ['a'], verbs: ['get', 'update', 'list'] },
      ]);
      await s.eventually(s.configMaps('a'), ({ status }) => status === 200, { bearer });
      await s.get(s.configMaps('b'), 403, { bearer });
      await s.get(s.configMaps(), 403, { bearer });
      await s.get(`${s.configMaps()}?fieldSelector=metadata.name%3Da`, 200, { bearer });
    },
  },
  {
    name: 'a Role for a subresource is not one for its resource',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      await grant(s, [
        { apiGroups: [''], resources: ['serviceaccounts/token'], resourceNames: ['orders'], verbs: ['create'] },
      ]);
      const body = { spec: { audiences: ['a'], expirationSeconds: 600 } };
      const review = {
        spec: {
          resourceAttributes: {
            verb: 'create',
            resource: 'serviceaccounts',
            subresource: 'token',
            name: 'orders',
            namespace: s.namespace,
          },
        },
      };
      for (let i = 0; i < 100; i += 1) {
        const answer = await s.client.send({
          method: 'POST',
          path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
          body: JSON.stringify(review),
          bearer,
        });
        if (answer.body?.status?.allowed !== false) break;
      }
      await s.post(token(s, 'orders'), body, 201, { bearer });
      await s.get(s.accounts('orders'), 403, { bearer });
      await s.post(token(s, 'default'), body, 403, { bearer });
    },
  },
  {
    name: 'what may I do',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      const ask = async (verb: string, as?: string): Promise<JSONValue> =>
        await s.post(
          '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
          {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes: { verb, resource: 'secrets', namespace: s.namespace } },
          },
          201,
          as === undefined ? {} : { bearer: as },
        );
      assert.equal((await ask('get', bearer)).status.allowed, false);
      assert.equal((await ask('get')).status.allowed, true);
    },
  },
  {
    name: 'who am I',
    run: async (s) => {
      const bearer = await s.bearer('orders');
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
      const me = await s.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', review, 201, { bearer });
      assert.equal(me.status.userInfo.username, `system:serviceaccount:${s.namespace}:orders`);
    },
  },
];
