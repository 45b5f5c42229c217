// Promises: a Kubernetes API server as a function of requests: authentication, routing, the verbs, and a log of what was
// asked without any body. With `rbac` ServiceAccounts may do what their roles say, without it everything; who has no token
// is system:anonymous, who may look at what every server shows. No managedFields, no server-side apply, no protobuf.
import type { ServerEnvironment, ServerOutcome, ServerRequest, ServerResponse } from '../http.ts';
import { Answers, asStatusError } from './answers.ts';
import { parseBody, unknownFormat } from './body.ts';
import { Controllers } from './controllers.ts';
import { checkDeleteOptions, parseDeleteOptions } from './delete-options.ts';
import type { DeleteOptions } from './delete-options.ts';
import { discoveryDocument, openDocument } from './documents.ts';
import { Faults } from './faults.ts';
import type { WorkOptions } from './faults.ts';
import { labelSelector } from './label-selectors.ts';
import { checkListOptions, Lists, parseRevision, waitForRevision } from './lists.ts';
import type { ListPage } from './lists.ts';
import { patcherFor } from './patch.ts';
import { ANONYMOUS, forbidden, RoleBasedAccess } from './rbac.ts';
import type { Attributes } from './rbac.ts';
import { Registry } from './registry.ts';
import type { Target } from './registry.ts';
import { acceptedShape } from './negotiation.ts';
import type { Shape } from './negotiation.ts';
import { showList, showObject, versioned } from './representation.ts';
import type { View } from './representation.ts';
import { isWatch, requestAttributes } from './request-attributes.ts';
import type { ResourceType } from './resources.ts';
import { answerReview, REVIEWS } from './reviews.ts';
import { fieldSelector } from './selectors.ts';
import type { Selector } from './selectors.ts';
import * as errors from './status.ts';
import { StatusError } from './status.ts';
import type { KubeObject } from './store.ts';
import { parseTokenRequest } from './token-requests.ts';
import { TokenAuthority } from './tokens.ts';
import type { User } from './tokens.ts';
import { openWatch } from './watch.ts';
import { text, warned, writeOptions } from './write-options.ts';

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
  readonly #answers: Answers;

  constructor(options: APIServerOptions, env: ServerEnvironment) {
    this.#options = options;
    this.#env = env;
    this.registry = new Registry(env, options.historyLimit ?? 1000);
    this.#access = new RoleBasedAccess(this.registry.store);
    this.#answers = new Answers(env);
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
      outcome = this.#answers.failure(asStatusError(error));
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
      return this.#answers.failure(asStatusError(error));
    }
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
    const open = await openDocument(path, request.headers['accept'], this.tokens, this.#answers);
    if (open !== undefined) return open;
    const document = discoveryDocument(path, request.headers['accept'], this.registry.types(), this.#answers);
    if (document !== undefined) {
      this.#authorize(known, { verb: request.method.toLowerCase(), path });
      return document;
    }
    const reviewed = this.#review(request, path, known);
    if (reviewed !== undefined) return reviewed;
    this.#authorize(known, requestAttributes(path, request.method, query));
    const route = this.#parse(path);
    if (route === undefined) return this.#answers.text(404, '404 page not found\n');
    const isCollection = route.name === undefined;
    const shape = acceptedShape(request.headers['accept'], route.type, { isCollection });
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
    if (mediaType !== 'application/json') throw errors.unsupportedMediaType(unknownFormat(mediaType));
    const body = parseBody(text(request), mediaType, kind) as { apiVersion: string };
    const access = {
      reason: (subject: User, what: Attributes) => this.#reason(subject, what),
      rules: (subject: User, namespace: string) => this.#access.rules(subject, namespace),
    };
    return this.#answers.json(
      answerReview(kind, { ...body, apiVersion: `${group}/v1`, now: this.registry.timestamp() }, user, access),
      201,
    );
  }

  /** /api/v1/... or /apis/GROUP/VERSION/...; undefined when the group version is unknown. */
  #parse(path: string): Route | undefined {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    const core = parts[0] === 'api';
    if (!core && parts[0] !== 'apis') return undefined;
    const [group, version] = core ? ['', parts[1]] : [parts[1], parts[2]];
    const types = this.registry.types().filter((type) => type.group === group && type.version === version);
    if (types.length === 0) {
      // Of a built-in group that is there, another version is a resource that is not.
      if (this.registry.types().some((type) => !type.custom && type.group === group)) throw errors.noSuchResource();
      return undefined;
    }
    const rest = parts.slice(core ? 2 : 3);
    const inNamespace = rest[0] === 'namespaces' && rest.length > 2 && types.some(({ plural }) => plural === rest[2]);
    const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
    const type = types.find((each) => each.plural === plural);
    const namespace = inNamespace ? rest[1] : undefined;
    const misplaced =
      type?.namespaced === true ? namespace === undefined && name !== undefined : namespace !== undefined;
    // Custom resources have a router of their own, which says less of what it does not know.
    const isCustom = types.every(({ custom }) => custom);
    if (isCustom && (type === undefined || misplaced)) return undefined;
    if (isCustom && more.length > 0) throw errors.notFound(type ?? (types[0] as ResourceType), name ?? '');
    if (type === undefined || more.length > 0 || misplaced) throw errors.noSuchResource();
    return { type, namespace, name, subresource };
  }

  async #verb(call: Call): Promise<ServerOutcome> {
    const { type, namespace, name, subresource } = call;
    if (name === undefined) return await this.#collection(call);
    const target: Target = { type, namespace, name, ...writeOptions(call.request, call.query) };
    if (subresource === undefined) return this.#single(call, target);
    if (subresource === 'status' && type.statusSubresource) return this.#single(call, { ...target, status: true });
    if (type.custom) throw errors.notFound(type, name);
    if (subresource !== 'token' || type.collection !== '/serviceaccounts') throw errors.noSuchResource();
    return await this.#token(call, target);
  }

  async #token(call: Call, target: Target): Promise<ServerResponse> {
    const { namespace } = target;
    if (call.request.method !== 'POST') throw errors.methodNotAllowed();
    const body = this.#body(call, 'TokenRequest') as object;
    this.registry.checkNamespaceExists(namespace);
    const spec = parseTokenRequest({ ...body }, target, this.registry.types());
    return warned(this.#answers.json(await this.tokens.request(this.registry.get(target), spec), 201), target);
  }

  async #collection(call: Call): Promise<ServerResponse> {
    const { type, namespace, query, request } = call;
    switch (request.method) {
      case 'GET':
        return isWatch(query) ? this.#watch(call) : await this.#list(call);
      case 'POST': {
        if (type.namespaced && namespace === undefined) throw errors.methodNotAllowed();
        const target = { type, namespace, name: '', ...writeOptions(call.request, call.query) };
        const created = this.registry.create(target, this.#body(call));
        return warned(this.#answers.json(showObject(type, this.#view(call), created), 201), target);
      }
      case 'DELETE': {
        const options = this.#deleteOptions(call);
        // The version is the list's, from before anything went.
        const resourceVersion = String(this.registry.store.revision);
        const items = this.registry.store.list(type.collection, namespace).filter(this.#selector(call));
        for (const { metadata } of items)
          this.registry.delete({ type, namespace: metadata.namespace, name: metadata.name }, options);
        return this.#page(call, { metadata: { resourceVersion }, items });
      }
      default:
        throw errors.methodNotAllowed();
    }
  }

  async #single(call: Call, target: Target): Promise<ServerResponse> {
    const { type, request } = call;
    const show = (object: KubeObject, status = 200): ServerResponse =>
      warned(this.#answers.json(showObject(type, this.#view(call), object), status), target);
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
        if (target.status === true) throw this.#statusMethod(type, 'delete');
        const options = this.#deleteOptions(call);
        const dryRun = options.dryRun?.includes('All') === true;
        const { object, gone } = this.registry.delete({ ...target, dryRun }, options);
        // ServiceAccounts are among the few kinds whose deletion shows the object.
        if (!gone || type.collection === '/serviceaccounts') return show(object);
        const group = type.group === '' ? {} : { group: type.group };
        const details = { name: object.metadata.name, ...group, kind: type.plural, uid: object.metadata.uid };
        return this.#answers.json({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details });
      }
      default:
        if (request.method === 'POST' && target.status === true) throw this.#statusMethod(type, 'create');
        throw errors.methodNotAllowed();
    }
  }

  #statusMethod(type: ResourceType, verb: string): StatusError {
    return type.custom ? errors.verbNotSupported(type, verb) : errors.methodNotAllowed();
  }

  #body({ request, type }: Call, kind = type.kind): unknown {
    const mediaType = (request.headers['content-type'] ?? 'application/json').split(';')[0] ?? '';
    if (mediaType !== 'application/json' && mediaType !== 'application/yaml') {
      throw errors.unsupportedMediaType(unknownFormat(mediaType));
    }
    return parseBody(text(request), mediaType, kind);
  }

  /** A body replaces the query whole: with one, `?dryRun=All` really deletes. */
  #deleteOptions({ request, query }: Call): DeleteOptions {
    const policy = query.get('propagationPolicy');
    const ofQuery = { dryRun: query.getAll('dryRun'), ...(policy === null ? {} : { propagationPolicy: policy }) };
    const options = request.body.byteLength > 0 ? parseDeleteOptions(text(request)) : ofQuery;
    checkDeleteOptions(options);
    return options;
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
    return { ...this.#answers.json({}), body };
  }

  async #list(call: Call): Promise<ServerResponse> {
    const { type, namespace, query, request } = call;
    const selector = this.#selector(call);
    const page = await this.#lists.list({ type, namespace, query, selector, signal: request.signal, ...call.options });
    return this.#page(call, page);
  }

  #page(call: Call, { metadata, items }: ListPage): ServerResponse {
    const { type, shape } = call;
    // Go's unstructured lists write the field also when it is empty.
    const isPlain = type.custom && shape === 'Object';
    const shown = isPlain ? { continue: '', ...metadata } : metadata;
    return this.#answers.json(showList(type, this.#view(call), { metadata: shown, items }));
  }

  #view({ shape, query }: Call): View {
    return { shape, nowMs: this.#env.clock.now(), includeObject: query.get('includeObject') ?? undefined };
  }
}
