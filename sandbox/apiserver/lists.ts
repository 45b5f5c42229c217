// Promises: what a list shows: which options go together, at which resourceVersion, page by page, with continue tokens in
// the real server's form that end in 410 with a token to go on with. Knows no HTTP and no shape.
import { wait } from '../http.ts';
import type { ServerEnvironment } from '../http.ts';
import { decodeContinue, encodeContinue } from './continue-tokens.ts';
import type { ContinueToken } from './continue-tokens.ts';
import { badRequest, expired, fieldError, invalid, StatusError } from './status.ts';
import type { StatusCause } from './status.ts';
import type { Selector } from './selectors.ts';
import { objectKey } from './store.ts';
import type { KubeObject, Store } from './store.ts';
import type { ResourceType } from './resources.ts';

const LIST_OPTIONS = { group: 'meta.k8s.io', plural: 'listoptions', kind: 'ListOptions' };
/** Lists whose later pages are still shown at the first page's revision, even when the history no longer has it. */
const MAX_OPEN_PAGES = 100;
/** How long the server waits for a version that it has not seen yet (apiserver/pkg/storage/cacher, blockTimeout). */
const TOO_LARGE_WAIT_MS = 3000;
const TOO_LARGE_POLL_MS = 50;
const INCONSISTENT =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the ' +
  'continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with ' +
  'the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time ' +
  'the first chunk was returned and now may show up in the list.';

/** @throws StatusError 400 */
export function parseRevision(text: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  const parse = `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
  throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: ${parse}`);
}

function parseInteger(query: URLSearchParams, name: string): number {
  const text = query.get(name);
  if (text === null) return 0;
  if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Number(text);
}

function forbidden(field: string, why: string): StatusCause {
  return fieldError(field, 'FieldValueForbidden', `Forbidden: ${why}`);
}

function unsupportedMatch(match: string, supported: string): StatusCause {
  const message = `Unsupported value: ${JSON.stringify(match)}: supported values: ${supported}`;
  return fieldError('resourceVersionMatch', 'FieldValueNotSupported', message);
}

const FIELD = 'resourceVersionMatch';
const WITH_CONTINUE = `${FIELD} is forbidden when continue is provided`;

function watchCauses(query: URLSearchParams): StatusCause[] {
  const match = query.get(FIELD) ?? '';
  const initial = query.get('sendInitialEvents') ?? '';
  const causes: StatusCause[] = [];
  if (initial !== '' && match !== 'NotOlderThan') {
    causes.push(forbidden(FIELD, `sendInitialEvents requires setting ${FIELD} to NotOlderThan`));
  }
  if (match === '') return causes;
  if (initial === '')
    causes.push(forbidden(FIELD, `${FIELD} is forbidden for watch unless sendInitialEvents is provided`));
  if (match !== 'NotOlderThan') causes.push(unsupportedMatch(match, '"NotOlderThan"'));
  if (query.get('continue')) causes.push(forbidden(FIELD, WITH_CONTINUE));
  return causes;
}

function listCauses(query: URLSearchParams): StatusCause[] {
  const match = query.get(FIELD) ?? '';
  const version = query.get('resourceVersion') ?? '';
  const causes: StatusCause[] = [];
  if (match !== '') {
    if (version === '') causes.push(forbidden(FIELD, `${FIELD} is forbidden unless resourceVersion is provided`));
    if (query.get('continue')) causes.push(forbidden(FIELD, WITH_CONTINUE));
    if (!['Exact', 'NotOlderThan'].includes(match)) causes.push(unsupportedMatch(match, '"Exact", "NotOlderThan", ""'));
    if (match === 'Exact' && version === '0')
      causes.push(forbidden(FIELD, `${FIELD} "exact" is forbidden for resourceVersion "0"`));
  }
  if (query.get('sendInitialEvents'))
    causes.push(forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  return causes;
}

/**
 * Checks the query of a list or a watch (apimachinery/pkg/apis/meta/internalversion/validation).
 * @throws StatusError 400 or 422
 */
export function checkListOptions(query: URLSearchParams, isWatch: boolean): void {
  for (const name of ['limit', 'timeoutSeconds']) parseInteger(query, name);
  const causes = isWatch ? watchCauses(query) : listCauses(query);
  if (causes.length > 0) throw invalid(LIST_OPTIONS, '', causes);
}

/** 504: a version that this server has not reached. */
export function tooLarge(version: number, current: number): StatusError {
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  const message = `Timeout: Too large resource version: ${version}, current: ${current}`;
  return new StatusError(504, 'Timeout', message, { causes, retryAfterSeconds: 1 });
}

/**
 * Waits for a version as the real server does, in case it is just about to come.
 * @throws StatusError 504
 */
export async function waitForRevision(
  version: number,
  store: Store,
  env: ServerEnvironment,
  signal: AbortSignal,
): Promise<void> {
  for (let waitedMs = 0; version > store.revision; waitedMs += TOO_LARGE_POLL_MS) {
    if (waitedMs >= TOO_LARGE_WAIT_MS || signal.aborted) throw tooLarge(version, store.revision);
    await wait(env.clock, TOO_LARGE_POLL_MS, signal);
  }
}

/** What to list. */
export interface ListRequest {
  readonly type: ResourceType;
  readonly namespace: string | undefined;
  readonly query: URLSearchParams;
  readonly selector: Selector;
  readonly signal: AbortSignal;
  /** How far behind to look. */
  readonly staleRevisions?: number;
}

/** One page. */
export interface ListPage {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly KubeObject[];
}

interface Snapshot {
  readonly revision: number;
  /** Everything, also what no selector wants: a token goes on after a key. */
  readonly objects: readonly KubeObject[];
}

export class Lists {
  readonly #store: Store;
  readonly #env: ServerEnvironment;
  readonly #open = new Map<string, Snapshot>();

  constructor(store: Store, env: ServerEnvironment) {
    this.#store = store;
    this.#env = env;
  }

  /** Forgets the pages of lists that are not finished. */
  forget(): void {
    this.#open.clear();
  }

  /** @throws StatusError 400, 410, 422 or 504 */
  async list(request: ListRequest): Promise<ListPage> {
    const { query, type, namespace, selector } = request;
    checkListOptions(query, false);
    const token = query.get('continue') ?? '';
    const { snapshot, start } =
      token === '' ? await this.#first(request) : await this.#next(request, decodeContinue(token));
    // In a namespace keys are told without it; they never begin with a slash of another list.
    const keyOf = ({ metadata }: KubeObject): string =>
      namespace === undefined ? objectKey(metadata.namespace, metadata.name).replace(/^\//, '') : metadata.name;
    const after = start.replace(/^\//, '');
    const ahead = snapshot.objects.filter((object) => start === '' || keyOf(object) >= after);
    const rest = ahead.filter(selector);
    // The watch cache, from which version 0 is served, knows no pages.
    const isCached = query.get('resourceVersion') === '0' && token === '';
    const limit = isCached ? 0 : parseInteger(query, 'limit');
    const items = limit > 0 ? rest.slice(0, limit) : rest;
    const left = rest.length - items.length;
    const last = items.at(-1);
    // Whether what comes after the page is selected is not looked at: the next page may be empty.
    const hasMore = limit > 0 && items.length === limit && last !== undefined && ahead.at(-1) !== last;
    if (hasMore) this.#keep(`${type.collection} ${namespace} ${snapshot.revision}`, snapshot);
    const more = { v: 'meta.k8s.io/v1', rv: snapshot.revision, start: `/${last === undefined ? '' : keyOf(last)}\0` };
    const selected = ['labelSelector', 'fieldSelector'].some((name) => query.get(name));
    const metadata = {
      resourceVersion: String(snapshot.revision),
      ...(hasMore ? { continue: encodeContinue(more) } : {}),
      // With a selector the real server does not know how many more there are.
      ...(hasMore && !selected ? { remainingItemCount: left } : {}),
    };
    return { metadata, items };
  }

  async #first({
    type,
    namespace,
    query,
    signal,
    staleRevisions = 0,
  }: ListRequest): Promise<{ snapshot: Snapshot; start: string }> {
    const text = query.get('resourceVersion') ?? '';
    const version = parseRevision(text === '' ? '0' : text);
    await waitForRevision(version, this.#store, this.#env, signal);
    if (staleRevisions > 0) {
      return { snapshot: this.#store.listBehind(type.collection, staleRevisions, namespace), start: '' };
    }
    const match = query.get(FIELD) ?? '';
    const isPaged = parseInteger(query, 'limit') > 0;
    // A limit without a match has always meant exactly this version.
    const isExact = match === 'Exact' || (match === '' && isPaged && version > 0);
    const revision = isExact ? version : this.#store.revision;
    const objects = this.#store.listAt(type.collection, revision, namespace);
    if (objects === undefined) throw expired('The resourceVersion for the provided list is too old.');
    return { snapshot: { revision, objects }, start: '' };
  }

  async #next(
    { type, namespace, query, signal }: ListRequest,
    token: ContinueToken,
  ): Promise<{ snapshot: Snapshot; start: string }> {
    if (!['', '0'].includes(query.get('resourceVersion') ?? '')) {
      throw badRequest('specifying resource version is not allowed when using continue');
    }
    const { rv, start } = token;
    const revision = rv < 0 ? this.#store.revision : rv;
    await waitForRevision(revision, this.#store, this.#env, signal);
    const objects =
      this.#open.get(`${type.collection} ${namespace} ${revision}`)?.objects ??
      this.#store.listAt(type.collection, revision, namespace);
    if (objects === undefined) throw expired(INCONSISTENT, encodeContinue({ ...token, rv: -1 }));
    return { snapshot: { revision, objects }, start };
  }

  #keep(id: string, snapshot: Snapshot): void {
    this.#open.set(id, snapshot);
    const [oldest] = this.#open.keys();
    if (this.#open.size > MAX_OPEN_PAGES && oldest !== undefined) this.#open.delete(oldest);
  }
}
