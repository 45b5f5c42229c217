// Promises: a Kubernetes API server as a function of requests: authentication, routing, the verbs, and a log of what was
// asked without any body. With `rbac` ServiceAccounts may do what their roles say, without it everything; who has no token
// is system:anonymous, who may look at what every server shows. No managedFields, no server-side apply, no protobuf.
import { httpDate } from '../http.ts';
import type { ServerEnvironment, ServerOutcome, ServerRequest, ServerResponse } from '../http.ts';
import { duplicateFields, parseBody, UNKNOWN_FORMAT } from './body.ts';
import { Controllers } from './controllers.ts';
import { AGGREGATED, aggregatedDiscovery, legacyDiscovery, openAPI, VERSION } from './discovery.ts';
import { Faults } from './faults.ts';
import type { WorkOptions } from './faults.ts';
import { checkListOptions, Lists, parseRevision, waitForRevision } from './lists.ts';
import { patcherFor } from './patch.ts';
import { ANONYMOUS, answerReview, forbidden, REVIEWS, RoleBasedAccess } from './rbac.ts';
import type { Attributes } from './rbac.ts';
import { Registry } from './registry.ts';
import type { DecodeOptions, FieldValidation } from './custom-resource.ts';
import type { DeleteOptions, Target } from './registry.ts';
import { acceptedShape, showList, showObject, versioned } from './representation.ts';
import type { Shape, View } from './representation.ts';
import type { ResourceType } from './resources.ts';
import { fieldSelector, labelSelector } from './selectors.ts';
import type { Selector } from './selectors.ts';
import * as errors from './status.ts';
import { StatusError } from './status.ts';
import type { StatusCause } from './status.ts';
import type { KubeObject } from './store.ts';
import { TokenAuthority } from './tokens.ts';
import type { User } from './tokens.ts';
import { openWatch } from './watch.ts';

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
  /** Whether Roles and bindings decide what ServiceAccounts may do; default false: they may do everything. */
  readonly rbac?: boolean;
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
  readonly options: WorkOptions;
}

const INITIAL_NAMESPACES = ['default', 'kube-node-lease', 'kube-public', 'kube-system'];
export class APIServer {
  readonly registry: Registry;
  readonly tokens: TokenAuthority;
  readonly faults = new Faults();
  readonly requestLog: RequestLogEntry[] = [];
  readonly #env: ServerEnvironment;
  readonly #options: APIServerOptions;
  readonly #controllers: Controllers;
  readonly #lists: Lists;
  readonly #access: RoleBasedAccess;

  constructor(options: APIServerOptions, env: ServerEnvironment) {
    this.#options = options;
    this.#env = env;
    this.registry = new Registry(env, options.historyLimit ?? 1000);
    this.#access = new RoleBasedAccess(this.registry.store);
    this.#lists = new Lists(this.registry.store, env);
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
    this.#lists.forget();
  }

  handle = async (request: ServerRequest): Promise<ServerOutcome> => {
    let user: User | undefined;
    let outcome: ServerOutcome;
    try {
      user = await this.#authenticate(request);
      const known = user;
      outcome = await this.faults.apply(request, this.#env, (options) => this.#answer(request, known, options));
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

  async #answer(request: ServerRequest, user: User | undefined, options: WorkOptions = {}): Promise<ServerOutcome> {
    try {
      return await this.#route(request, user, options);
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
    if (token === this.#options.adminToken)
      return { name: 'kubernetes-admin', groups: ['system:masters', 'system:authenticated'] };
    const user = await this.tokens.authenticate(token);
    if (user === undefined) throw errors.unauthorized();
    return user;
  }

  async #route(request: ServerRequest, user: User | undefined, options: WorkOptions): Promise<ServerOutcome> {
    const { pathname: path, searchParams: query } = new URL(request.target, 'https://sandbox.invalid');
    const known = user ?? ANONYMOUS;
    const open = await this.#openDocument(path);
    if (open !== undefined) return open;
    const document = this.#discovery(request, path);
    if (document !== undefined) {
      this.#authorize(known, { verb: request.method.toLowerCase(), path });
      return document;
    }
    const reviewed = this.#review(request, path, known);
    if (reviewed !== undefined) return reviewed;
    this.#authorize(known, requestAttributes(path, request.method, query));
    const route = this.#parse(path);
    if (route === undefined) return this.#text(404, '404 page not found\n');
    const shape = acceptedShape(request.headers['accept']);
    return await this.#verb({ ...route, request, query, shape, options });
  }

  /** @throws StatusError 403 */
  #authorize(user: User, what: Attributes): void {
    if (this.#reason(user, what) === undefined) throw forbidden(user, what);
  }

  #reason(user: User, what: Attributes): string | undefined {
    const isFree = this.#options.rbac !== true && user.groups.includes('system:authenticated');
    return isFree ? '' : this.#access.reason(user, what);
  }

  /** Questions about rights and about oneself: POST to a resource that is never stored. */
  #review(request: ServerRequest, path: string, user: User): ServerResponse | undefined {
    const [, group = '', resource = ''] = /^\/apis\/([^/]+)\/v1\/([^/]+)$/.exec(path) ?? [];
    const kind = REVIEWS[`${group}/${resource}`];
    if (kind === undefined) return undefined;
    if (request.method !== 'POST') throw errors.methodNotAllowed();
    this.#authorize(user, { verb: 'create', group, resource });
    const mediaType = (request.headers['content-type'] ?? 'application/json').split(';')[0] ?? '';
    if (mediaType !== 'application/json') throw errors.unsupportedMediaType(UNKNOWN_FORMAT);
    const body = parseBody(text(request), mediaType, kind) as { apiVersion: string };
    const access = {
      reason: (subject: User, what: Attributes) => this.#reason(subject, what),
      rules: (subject: User, namespace: string) => this.#access.rules(subject, namespace),
    };
    return this.#json(
      answerReview(kind, { ...body, apiVersion: `${group}/v1`, now: this.registry.timestamp() }, user, access),
      201,
    );
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
    const { type, namespace, name, subresource } = call;
    if (name === undefined) return await this.#collection(call);
    const target: Target = { type, namespace, name, ...writeOptions(call) };
    if (subresource === undefined) return this.#single(call, target);
    if (subresource === 'status' && type.statusSubresource) return this.#single(call, { ...target, status: true });
    if (type.custom) throw errors.notFound(type, name);
    if (subresource !== 'token' || type.collection !== '/serviceaccounts') throw errors.noSuchResource();
    this.registry.checkNamespaceExists(namespace);
    if (call.request.method !== 'POST') throw errors.methodNotAllowed();
    const body = this.#body(call) as { readonly spec?: object };
    return this.#json(await this.tokens.request(this.registry.get(target), body.spec ?? {}), 201);
  }

  async #collection(call: Call): Promise<ServerResponse> {
    const { type, namespace, query, request } = call;
    switch (request.method) {
      case 'GET':
        return isWatch(query) ? this.#watch(call) : await this.#list(call);
      case 'POST': {
        if (type.namespaced && namespace === undefined) throw errors.methodNotAllowed();
        const target = { type, namespace, name: '', ...writeOptions(call) };
        const created = this.registry.create(target, this.#body(call));
        return warned(this.#json(showObject(type, this.#view(call), created), 201), target);
      }
      case 'DELETE': {
        const options = this.#deleteOptions(call);
        const items = this.registry.store.list(type.collection, namespace).filter(this.#selector(call));
        for (const { metadata } of items)
          this.registry.delete({ type, namespace: metadata.namespace, name: metadata.name }, options);
        const metadata = { resourceVersion: String(this.registry.store.revision) };
        return this.#json(showList(type, this.#view(call), { metadata, items }));
      }
      default:
        throw errors.methodNotAllowed();
    }
  }

  async #single(call: Call, target: Target): Promise<ServerResponse> {
    const { type, request } = call;
    const show = (object: KubeObject, status = 200): ServerResponse =>
      warned(this.#json(showObject(type, this.#view(call), object), status), target);
    switch (request.method) {
      case 'GET':
        const version = parseRevision(call.query.get('resourceVersion') || '0');
        await waitForRevision(version, this.registry.store, this.#env, request.signal);
        return show(this.registry.get(target, call.options.staleRevisions));
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
        if (target.status === true) throw type.custom ? errors.deleteNotSupported(type) : errors.methodNotAllowed();
        const options = this.#deleteOptions(call);
        const dryRun = options.dryRun?.includes('All') === true;
        const { object, gone } = this.registry.delete({ ...target, dryRun }, options);
        // ServiceAccounts are among the few kinds whose deletion shows the object.
        if (!gone || type.collection === '/serviceaccounts') return show(object);
        const group = type.group === '' ? {} : { group: type.group };
        const details = { name: object.metadata.name, ...group, kind: type.plural, uid: object.metadata.uid };
        return this.#json({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
      }
      default:
        throw errors.methodNotAllowed();
    }
  }

  #body({ request, type }: Call): unknown {
    const mediaType = (request.headers['content-type'] ?? 'application/json').split(';')[0] ?? '';
    if (mediaType !== 'application/json' && mediaType !== 'application/yaml') {
      throw errors.unsupportedMediaType(UNKNOWN_FORMAT);
    }
    return parseBody(text(request), mediaType, type.kind);
  }

  #deleteOptions(call: Call): DeleteOptions {
    // A body replaces the query whole: with one, `?dryRun=All` really deletes.
    if (call.request.body.byteLength > 0) return this.#body(call) as DeleteOptions;
    const policy = call.query.get('propagationPolicy');
    const dryRun = call.query.getAll('dryRun');
    return { dryRun, ...(policy === null ? {} : { propagationPolicy: policy }) };
  }

  #selector({ type, query }: Call): Selector {
    const byLabel = labelSelector(query.get('labelSelector') ?? '');
    const byField = fieldSelector(type, query.get('fieldSelector') ?? '');
    return (object) => byLabel(object) && byField(object);
  }

  #watch(call: Call): ServerResponse {
    const { type, shape, namespace, query, request } = call;
    checkListOptions(query, true);
    const watch = { type, shape, namespace, selector: this.#selector(call), query, signal: request.signal };
    const body = openWatch(watch, this.registry.store, this.#env, this.#options.bookmarkIntervalMs ?? 5000);
    return { ...this.#json({}), body };
  }

  async #list(call: Call): Promise<ServerResponse> {
    const { type, namespace, query, shape, request } = call;
    const selector = this.#selector(call);
    const page = await this.#lists.list({ type, namespace, query, selector, signal: request.signal, ...call.options });
    // Go's unstructured lists write the field also when it is empty.
    const isPlain = type.custom && shape === 'Object';
    const metadata = isPlain ? { continue: '', ...page.metadata } : page.metadata;
    return this.#json(showList(type, this.#view(call), { metadata, items: page.items }));
  }

  #view({ shape, query }: Call): View {
    return { shape, nowMs: this.#env.clock.now(), includeObject: query.get('includeObject') ?? undefined };
  }
}

const VERBS: Readonly<Record<string, readonly [one: string, all: string]>> = {
  GET: ['get', 'list'],
  POST: ['create', 'create'],
  PUT: ['update', 'update'],
  PATCH: ['patch', 'patch'],
  DELETE: ['delete', 'deletecollection'],
};

/** Subresources of a Namespace, which are no resources in it. */
const OF_NAMESPACES = ['status', 'finalize'];

/**
 * What a request wants, told by its path alone, as authorizers see it: whether the resource exists is not asked
 * (apiserver/pkg/endpoints/request/requestinfo.go).
 */
function requestAttributes(path: string, method: string, query: URLSearchParams): Attributes {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const isCore = parts[0] === 'api';
  const rest = parts.slice(isCore ? 2 : 3);
  if ((!isCore && parts[0] !== 'apis') || rest.length === 0) return { verb: method.toLowerCase(), path };
  const inside = rest[0] === 'namespaces' && rest.length > 2 && !OF_NAMESPACES.includes(rest[2] ?? '');
  const [resource = '', name, subresource] = inside ? rest.slice(2) : rest;
  // A namespace's own name is its namespace, too.
  const namespace = rest[0] === 'namespaces' ? rest[1] : undefined;
  const [one, all] = VERBS[method] ?? [method.toLowerCase(), method.toLowerCase()];
  const isWatching = method === 'GET' && name === undefined && isWatch(query);
  // A list or watch of one name counts as one of that object.
  const chosen = name ?? /^metadata\.name==?([^,]+)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  const verb = isWatching ? 'watch' : name === undefined ? all : one;
  return { verb, group: isCore ? '' : (parts[1] ?? ''), resource, subresource, name: chosen, namespace };
}

const FIELD_VALIDATIONS = ['', 'Ignore', 'Strict', 'Warn'];
const OPTIONS_KINDS: Readonly<Record<string, string>> = {
  POST: 'CreateOptions',
  PUT: 'UpdateOptions',
  PATCH: 'PatchOptions',
};

/**
 * The query parameters that all writes take.
 * @throws StatusError 422
 */
function writeOptions({ query, request }: Call): Pick<Target, 'dryRun' | keyof DecodeOptions> {
  const causes: StatusCause[] = [];
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  if (dryRun.some((value) => value !== 'All')) {
    const message = `Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`;
    causes.push(errors.fieldError('dryRun', 'FieldValueNotSupported', message));
  }
  const fieldValidation = query.get('fieldValidation') ?? '';
  if (!FIELD_VALIDATIONS.includes(fieldValidation)) {
    const supported = FIELD_VALIDATIONS.map((value) => JSON.stringify(value)).join(', ');
    const message = `Unsupported value: ${JSON.stringify(fieldValidation)}: supported values: ${supported}`;
    causes.push(errors.fieldError('fieldValidation', 'FieldValueNotSupported', message));
  }
  const kind = OPTIONS_KINDS[request.method];
  if (causes.length > 0 && kind !== undefined)
    throw errors.invalid({ group: 'meta.k8s.io', plural: '', kind }, '', causes);
  // Warn is the default since 1.27.
  const wanted = fieldValidation === '' ? 'Warn' : (fieldValidation as FieldValidation);
  // A duplicate costs a scan of the body; a patch cannot be scanned this way.
  const scanned = wanted !== 'Ignore' && (request.method === 'POST' || request.method === 'PUT');
  const duplicates = scanned ? duplicateFields(text(request)) : [];
  return { dryRun: dryRun.length > 0, fieldValidation: wanted, warnings: [], duplicates };
}

/** Warnings as RFC 7234 headers, which kubectl prints. */
function warned(response: ServerResponse, { warnings = [] }: Target): ServerResponse {
  if (warnings.length === 0) return response;
  const warning = warnings.map((each) => `299 - ${JSON.stringify(each)}`).join(', ');
  return { ...response, headers: { ...response.headers, warning } };
}

/** Go reads a flag that is there and is not false as true. */
function isWatch(query: URLSearchParams): boolean {
  const value = query.get('watch');
  return value !== null && !['false', '0', ''].includes(value.toLowerCase());
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
