// Promises: a Kubernetes API server as a function of requests: authentication, routing, the verbs, and a log of what was
// asked without any body. Everybody who is authenticated may do everything: authorization is not built yet, and its place
// is #authorize. No managedFields, no server-side apply, no protobuf.
import { httpDate } from '../http.ts';
import type { ServerEnvironment, ServerOutcome, ServerRequest, ServerResponse } from '../http.ts';
import { Controllers } from './controllers.ts';
import { AGGREGATED, aggregatedDiscovery, legacyDiscovery, openAPI, VERSION } from './discovery.ts';
import { Faults } from './faults.ts';
import { patcherFor } from './patch.ts';
import { Registry } from './registry.ts';
import type { DeleteOptions, Target } from './registry.ts';
import { acceptedShape, showList, showObject, versioned } from './representation.ts';
import type { Shape } from './representation.ts';
import type { ResourceType } from './resources.ts';
import { fieldSelector, labelSelector } from './selectors.ts';
import type { Selector } from './selectors.ts';
import * as errors from './status.ts';
import { StatusError } from './status.ts';
import type { KubeObject } from './store.ts';
import { TokenAuthority } from './tokens.ts';
import type { User } from './tokens.ts';
import { openWatch, parseRevision } from './watch.ts';

/** One line of the request log. */
export interface RequestLogEntry {
  readonly timeMs: number;
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly user: string;
  /** 0: the connection was cut. */
  readonly status: number;
}

/** How the server is set up. */
export interface APIServerOptions {
  readonly issuer: string;
  readonly adminToken: string;
  /** Changes kept for each resource (default 1000); a watch from before them is answered 410. */
  readonly historyLimit?: number;
  /** Default 5 s; the real server sends one a minute. */
  readonly bookmarkIntervalMs?: number;
}

interface Route {
  readonly type: ResourceType;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

interface Call extends Route {
  readonly request: ServerRequest;
  readonly query: URLSearchParams;
  readonly shape: Shape;
}

/** Pages of lists that are not finished. */
const MAX_OPEN_PAGES = 100;
const INITIAL_NAMESPACES = ['default', 'kube-node-lease', 'kube-public', 'kube-system'];
const PAGE_EXPIRED =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the ' +
  'continue parameter.';

export class APIServer {
  readonly registry: Registry;
  readonly tokens: TokenAuthority;
  readonly faults = new Faults();
  readonly requestLog: RequestLogEntry[] = [];
  readonly #env: ServerEnvironment;
  readonly #options: APIServerOptions;
  readonly #controllers: Controllers;
  /** Open lists by the start of their continue token: a later page shows the same revision as the first. */
  readonly #pages = new Map<string, { readonly revision: number; readonly items: readonly KubeObject[] }>();

  constructor(options: APIServerOptions, env: ServerEnvironment) {
    this.#options = options;
    this.#env = env;
    this.registry = new Registry(env, options.historyLimit ?? 1000);
    this.tokens = new TokenAuthority(options.issuer, this.registry.store, env);
    this.#controllers = new Controllers(this.registry, env);
    const type = this.registry.types().find(({ collection }) => collection === '/namespaces');
    for (const name of type === undefined ? [] : INITIAL_NAMESPACES) {
      this.registry.create({ type: type as ResourceType, namespace: undefined, name }, { metadata: { name } });
    }
  }

  /** The type that serves this kind. @throws when it is not installed */
  typeOf(apiVersion: string, kind: string): ResourceType {
    const [version, group = ''] = apiVersion.split('/').toReversed();
    const found = this.registry
      .types()
      .find((type) => type.group === group && type.version === version && type.kind === kind);
    if (found === undefined) throw new Error(`${apiVersion} ${kind} is not served: install its CRD first`);
    return found;
  }

  stop(): void {
    this.#controllers.stop();
  }

  /** Forgets history and open lists: watches and pages from before are answered 410. */
  compact(): void {
    this.registry.store.compact();
    this.#pages.clear();
  }

  handle = async (request: ServerRequest): Promise<ServerOutcome> => {
    let user: User | undefined;
    let outcome: ServerOutcome;
    try {
      user = await this.#authenticate(request);
      const known = user;
      outcome = await this.faults.apply(request, this.#env, () => this.#answer(request, known));
    } catch (error) {
      outcome = this.#failure(asStatusError(error));
    }
    const { method, target } = request;
    const status = 'reset' in outcome ? 0 : outcome.status;
    this.requestLog.push({
      timeMs: this.#env.clock.now(),
      method,
      target,
      user: user?.name ?? 'system:anonymous',
      status,
    });
    return outcome;
  };

  async #answer(request: ServerRequest, user: User | undefined): Promise<ServerOutcome> {
    try {
      return await this.#route(request, user);
    } catch (error) {
      return this.#failure(asStatusError(error));
    }
  }

  #json(body: object, status = 200, contentType = 'application/json'): ServerResponse {
    const headers = {
      'content-type': contentType,
      'cache-control': 'no-cache, private',
      date: httpDate(this.#env.clock),
    };
    return { status, headers, body: JSON.stringify(body) };
  }

  #failure({ status }: StatusError): ServerResponse {
    const response = this.#json(status, status.code);
    const seconds = status.details?.retryAfterSeconds;
    return seconds === undefined
      ? response
      : { ...response, headers: { ...response.headers, 'retry-after': `${seconds}` } };
  }

  async #authenticate(request: ServerRequest): Promise<User | undefined> {
    const header = request.headers['authorization'];
    if (header === undefined) return undefined;
    const token = /^Bearer (.+)$/i.exec(header)?.[1] ?? '';
    if (token === this.#options.adminToken) return { name: 'kubernetes-admin', groups: ['system:masters'] };
    const user = await this.tokens.authenticate(token);
    if (user === undefined) throw errors.unauthorized();
    return user;
  }

  async #route(request: ServerRequest, user: User | undefined): Promise<ServerOutcome> {
    const { pathname: path, searchParams: query } = new URL(request.target, 'https://sandbox.invalid');
    const open = await this.#openDocument(path);
    if (open !== undefined) return open;
    // As with --anonymous-auth=false; what the real server shows to anonymous users is above.
    if (user === undefined) throw errors.unauthorized();
    const document = this.#discovery(request, path);
    if (document !== undefined) return document;
    const route = this.#parse(path);
    if (route === undefined) return this.#text(404, '404 page not found\n');
    const shape = acceptedShape(request.headers['accept']);
    return await this.#verb({ ...route, request, query, shape });
  }

  #text(status: number, body: string): ServerResponse {
    return { status, headers: { 'content-type': 'text/plain; charset=utf-8', date: httpDate(this.#env.clock) }, body };
  }

  async #openDocument(path: string): Promise<ServerResponse | undefined> {
    switch (path) {
      case '/version':
        return this.#json(VERSION);
      case '/healthz':
      case '/livez':
      case '/readyz':
        return this.#text(200, 'ok');
      case '/.well-known/openid-configuration':
        return this.#json(this.tokens.openIDConfiguration());
      case '/openid/v1/jwks':
        return this.#json(await this.tokens.jwks(), 200, 'application/jwk-set+json');
      default:
        return undefined;
    }
  }

  #discovery(request: ServerRequest, path: string): ServerResponse | undefined {
    const types = this.registry.types();
    const wanted = (request.headers['accept'] ?? '').replaceAll(' ', '');
    if ((path === '/api' || path === '/apis') && wanted.includes(AGGREGATED)) {
      return this.#json(aggregatedDiscovery(types, path === '/api'), 200, AGGREGATED);
    }
    const found = path.startsWith('/openapi/v3')
      ? openAPI(types, path)
      : legacyDiscovery(types, path.replace(/\/$/, ''));
    return found === undefined ? undefined : this.#json(found);
  }

  /** /api/v1/... or /apis/GROUP/VERSION/...; undefined when the group version is unknown. */
  #parse(path: string): Route | undefined {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    const core = parts[0] === 'api';
    if (!core && parts[0] !== 'apis') return undefined;
    const [group, version] = core ? ['', parts[1]] : [parts[1], parts[2]];
    const types = this.registry.types().filter((type) => type.group === group && type.version === version);
    if (types.length === 0) return undefined;
    const rest = parts.slice(core ? 2 : 3);
    const inNamespace = rest[0] === 'namespaces' && rest.length > 2 && types.some(({ plural }) => plural === rest[2]);
    const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
    const type = types.find((each) => each.plural === plural);
    const namespace = inNamespace ? rest[1] : undefined;
    const misplaced =
      type?.namespaced === true ? namespace === undefined && name !== undefined : namespace !== undefined;
    if (type === undefined || more.length > 0 || misplaced) throw errors.noSuchResource();
    return { type, namespace, name, subresource };
  }

  async #verb(call: Call): Promise<ServerOutcome> {
    const { type, namespace, name, subresource, query } = call;
    if (name === undefined) return this.#collection(call);
    const target: Target = { type, namespace, name, dryRun: query.get('dryRun') === 'All' };
    if (subresource === undefined) return this.#single(call, target);
    if (subresource === 'status' && type.statusSubresource) return this.#single(call, { ...target, status: true });
    if (subresource !== 'token' || type.collection !== '/serviceaccounts') throw errors.noSuchResource();
    if (call.request.method !== 'POST') throw errors.methodNotAllowed();
    const body = this.#body(call) as { readonly spec?: object };
    return this.#json(await this.tokens.request(this.registry.get(target), body.spec ?? {}), 201);
  }

  #collection(call: Call): ServerResponse {
    const { type, namespace, query, request, shape } = call;
    switch (request.method) {
      case 'GET':
        return ['true', '1'].includes(query.get('watch') ?? '') ? this.#watch(call) : this.#list(call);
      case 'POST': {
        if (type.namespaced && namespace === undefined) throw errors.methodNotAllowed();
        const target = { type, namespace, name: '', dryRun: query.get('dryRun') === 'All' };
        const created = this.registry.create(target, this.#body(call));
        return this.#json(showObject(type, shape, created, this.#env.clock.now()), 201);
      }
      case 'DELETE': {
        const options = this.#deleteOptions(call);
        const items = this.registry.store.list(type.collection, namespace).filter(this.#selector(call));
        for (const { metadata } of items)
          this.registry.delete({ type, namespace: metadata.namespace, name: metadata.name }, options);
        const metadata = { resourceVersion: String(this.registry.store.revision) };
        return this.#json(showList(type, shape, { metadata, items }, this.#env.clock.now()));
      }
      default:
        throw errors.methodNotAllowed();
    }
  }

  #single(call: Call, target: Target): ServerResponse {
    const { type, shape, request } = call;
    const show = (object: KubeObject, status = 200): ServerResponse =>
      this.#json(showObject(type, shape, object, this.#env.clock.now()), status);
    switch (request.method) {
      case 'GET':
        return show(this.registry.get(target));
      case 'PUT': {
        const { object, created } = this.registry.replace(target, this.#body(call));
        return show(object, created ? 201 : 200);
      }
      case 'PATCH': {
        const patcher = patcherFor(type, (request.headers['content-type'] ?? '').split(';')[0] ?? '');
        const existing = this.registry.get(target);
        const patched = patcher(text(request), versioned(type, existing));
        return show(this.registry.patch(target, existing, patched));
      }
      case 'DELETE': {
        if (target.status === true) throw errors.methodNotAllowed();
        const { object, gone } = this.registry.delete(target, this.#deleteOptions(call));
        if (!gone) return show(object);
        const group = type.group === '' ? {} : { group: type.group };
        const details = { name: object.metadata.name, ...group, kind: type.plural, uid: object.metadata.uid };
        return this.#json({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
      }
      default:
        throw errors.methodNotAllowed();
    }
  }

  #body({ request, type }: Call): unknown {
    const mediaType = (request.headers['content-type'] ?? 'application/json').split(';')[0];
    if (mediaType !== 'application/json') {
      throw errors.unsupportedMediaType(
        'the body of the request was in an unknown format - accepted media types include: application/json',
      );
    }
    try {
      return JSON.parse(text(request)) as unknown;
    } catch {
      throw errors.badRequest(`the object provided is unrecognized (must be of type ${type.kind}): it is not JSON`);
    }
  }

  #deleteOptions(call: Call): DeleteOptions {
    const sent = call.request.body.byteLength === 0 ? {} : (this.#body(call) as DeleteOptions);
    const policy = sent.propagationPolicy ?? call.query.get('propagationPolicy');
    return { ...sent, ...(policy === null ? {} : { propagationPolicy: policy }) };
  }

  #selector({ type, query }: Call): Selector {
    const byLabel = labelSelector(query.get('labelSelector') ?? '');
    const byField = fieldSelector(type, query.get('fieldSelector') ?? '');
    return (object) => byLabel(object) && byField(object);
  }

  #watch(call: Call): ServerResponse {
    const { type, shape, namespace, query, request } = call;
    const watch = { type, shape, namespace, selector: this.#selector(call), query, signal: request.signal };
    const body = openWatch(watch, this.registry.store, this.#env, this.#options.bookmarkIntervalMs ?? 5000);
    return { ...this.#json({}), body };
  }

  #list(call: Call): ServerResponse {
    const { type, namespace, query, shape } = call;
    const { revision } = this.registry.store;
    const version = parseRevision(query.get('resourceVersion') || '0');
    if (version > revision) {
      const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
      const message = `Timeout: Too large resource version: ${version}, current: ${revision}`;
      throw new StatusError(504, 'Timeout', message, { causes, retryAfterSeconds: 1 });
    }
    const limitText = query.get('limit') ?? '0';
    if (!/^\d+$/.test(limitText)) {
      throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(limitText)}: invalid syntax`);
    }
    const page = this.#page(query.get('continue') ?? '', () =>
      this.registry.store.list(type.collection, namespace).filter(this.#selector(call)),
    );
    const limit = Number(limitText) || page.items.length;
    const left = page.items.length - page.start - limit;
    const selected = ['labelSelector', 'fieldSelector'].some((name) => query.has(name));
    const metadata = {
      resourceVersion: String(page.revision),
      ...(left > 0 ? { continue: this.#continueToken(page, page.start + limit) } : {}),
      // With a selector the real server does not know how many more there are.
      ...(left > 0 && !selected ? { remainingItemCount: left } : {}),
    };
    const items = page.items.slice(page.start, page.start + limit);
    return this.#json(showList(type, shape, { metadata, items }, this.#env.clock.now()));
  }

  #page(
    token: string,
    list: () => KubeObject[],
  ): { revision: number; items: readonly KubeObject[]; start: number; id: string } {
    if (token === '') {
      return { revision: this.registry.store.revision, items: list(), start: 0, id: this.#env.random.uuid() };
    }
    const [id = '', start] = Buffer.from(token, 'base64url').toString().split(' ');
    if (!/^\d+$/.test(start ?? '')) throw errors.badRequest('invalid continue token: continue key is not valid');
    const found = this.#pages.get(id);
    if (found === undefined) throw errors.expired(PAGE_EXPIRED);
    return { ...found, start: Number(start), id };
  }

  #continueToken(page: { revision: number; items: readonly KubeObject[]; id: string }, start: number): string {
    this.#pages.set(page.id, { revision: page.revision, items: page.items });
    const [oldest] = this.#pages.keys();
    if (this.#pages.size > MAX_OPEN_PAGES && oldest !== undefined) this.#pages.delete(oldest);
    return Buffer.from(`${page.id} ${start}`).toString('base64url');
  }
}

function text(request: ServerRequest): string {
  return Buffer.from(request.body).toString('utf8');
}

/** What nobody foresaw is a 500, as in the real server, so that a client sees a Status and not a cut connection. */
function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  return new StatusError(
    500,
    'InternalError',
    `Internal error occurred: ${error instanceof Error ? error.name : 'unknown'}`,
  );
}
