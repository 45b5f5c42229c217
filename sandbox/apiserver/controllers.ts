// Promises: what kube-controller-manager does beside the API server, as far as the operator can see it: the garbage
// collector, the namespace controller, and the default ServiceAccount of each namespace. Works a moment after a write, on
// the sandbox's clock, never within it.
import type { ServerEnvironment } from '../http.ts';
import type { Registry } from './registry.ts';
import { NAMESPACES } from './resources.ts';
import type { ResourceType } from './resources.ts';
import type { Change, KubeObject } from './store.ts';

/** How long after a write the controllers look; one pass then serves all writes of that time. */
const DELAY_MS = 20;

const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';

interface Dependent {
  readonly type: ResourceType;
  readonly object: KubeObject;
}

export class Controllers {
  readonly #registry: Registry;
  readonly #env: ServerEnvironment;
  #scheduled = false;
  #stopped = false;

  constructor(registry: Registry, env: ServerEnvironment) {
    this.#registry = registry;
    this.#env = env;
    registry.store.subscribe((change) => {
      if (this.#concerns(change)) this.#schedule();
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  /** A pass reads everything: only writes that can matter call for one. */
  #concerns({ type, collection, object }: Change): boolean {
    if (type === 'DELETED' || collection === NAMESPACES) return true;
    if (object.metadata.deletionTimestamp !== undefined) return true;
    const owners = object.metadata.ownerReferences ?? [];
    return type === 'ADDED' && owners.some(({ uid }) => this.#registry.store.findByUID(uid) === undefined);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#env.clock.setTimer(DELAY_MS, () => {
      this.#scheduled = false;
      if (!this.#stopped) this.#pass();
    });
  }

  #pass(): void {
    this.#namespaces();
    this.#definitions();
    const dependents = new Map<string, Dependent[]>();
    for (const type of this.#storedTypes()) {
      for (const object of this.#registry.store.list(type.collection)) {
        for (const { uid } of object.metadata.ownerReferences ?? []) {
          dependents.set(uid, [...(dependents.get(uid) ?? []), { type, object }]);
        }
      }
    }
    for (const list of dependents.values()) for (const dependent of list) this.#collect(dependent);
    for (const type of this.#storedTypes()) {
      for (const owner of this.#registry.store.list(type.collection)) {
        if (owner.metadata.deletionTimestamp === undefined) continue;
        this.#release({ type, object: owner }, dependents.get(owner.metadata.uid) ?? []);
      }
    }
  }

  /** One type for each collection. */
  #storedTypes(): ResourceType[] {
    return [...new Map(this.#registry.types().map((type) => [type.collection, type])).values()];
  }

  #delete({ type, object }: Dependent): void {
    const { namespace, name } = object.metadata;
    if (this.#registry.store.get(type.collection, namespace, name)?.metadata.uid !== object.metadata.uid) return;
    this.#registry.delete({ type, namespace, name });
  }

  /** Deletes what has no owner left; forgets owners that are gone beside one that lives. */
  #collect(dependent: Dependent): void {
    const { type, object } = dependent;
    const references = object.metadata.ownerReferences ?? [];
    const live = references.filter(({ uid }) => {
      const owner = this.#registry.store.findByUID(uid);
      // An owner must be in the dependent's namespace, or in none.
      return (
        owner !== undefined && (owner.metadata.namespace ?? object.metadata.namespace) === object.metadata.namespace
      );
    });
    if (live.length === references.length) return;
    if (live.length === 0) this.#delete(dependent);
    else
      this.#registry.store.put(type.collection, { ...object, metadata: { ...object.metadata, ownerReferences: live } });
  }

  /** Takes the collector's own finalizers off an owner, when their work is done. */
  #release({ type, object: owner }: Dependent, dependents: readonly Dependent[]): void {
    const { finalizers = [], uid, namespace, name } = owner.metadata;
    const current = dependents.flatMap(({ type: kind, object }) => {
      const now = this.#registry.store.get(kind.collection, object.metadata.namespace, object.metadata.name);
      return now === undefined ? [] : [{ type: kind, object: now }];
    });
    const refers = ({ object }: Dependent, blocking: boolean): boolean =>
      (object.metadata.ownerReferences ?? []).some(
        (reference) => reference.uid === uid && (!blocking || reference.blockOwnerDeletion === true),
      );
    let done: string | undefined;
    if (finalizers.includes(ORPHAN)) {
      done = ORPHAN;
      for (const { type: kind, object } of current.filter((each) => refers(each, false))) {
        const kept = (object.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== uid);
        const { ownerReferences: _old, ...rest } = object.metadata;
        const metadata = kept.length === 0 ? rest : { ...rest, ownerReferences: kept };
        this.#registry.store.put(kind.collection, { ...object, metadata });
      }
    } else if (finalizers.includes(FOREGROUND)) {
      const blocking = current.filter((each) => refers(each, true));
      if (blocking.length === 0) done = FOREGROUND;
      for (const each of blocking) if (each.object.metadata.deletionTimestamp === undefined) this.#delete(each);
    }
    if (done === undefined) return;
    const left = finalizers.filter((finalizer) => finalizer !== done);
    const patched = { ...owner, metadata: { ...owner.metadata, finalizers: left } };
    this.#registry.patch({ type, namespace, name }, owner, patched);
  }

  #namespaces(): void {
    const { store } = this.#registry;
    const namespaced = this.#storedTypes().filter((type) => type.namespaced);
    for (const namespace of store.list(NAMESPACES)) {
      const { name, deletionTimestamp } = namespace.metadata;
      if (deletionTimestamp === undefined) {
        this.#defaultServiceAccount(name);
        continue;
      }
      const content = namespaced.flatMap((type) =>
        store.list(type.collection, name).map((object) => ({ type, object })),
      );
      for (const each of content) this.#delete(each);
      const finalizers = namespace.metadata.finalizers ?? [];
      const empty = namespaced.every((type) => store.list(type.collection, name).length === 0);
      if (empty && finalizers.length === 0) store.remove(NAMESPACES, namespace);
    }
  }

  #defaultServiceAccount(namespace: string): void {
    const type = this.#registry.types().find(({ collection }) => collection === '/serviceaccounts');
    if (type === undefined || this.#registry.store.get(type.collection, namespace, 'default') !== undefined) return;
    this.#registry.create({ type, namespace, name: 'default' }, { metadata: { name: 'default' } });
  }

  /** Objects of a CustomResourceDefinition that has gone go too. */
  #definitions(): void {
    const served = new Set(this.#registry.types().map(({ collection }) => collection));
    for (const collection of this.#registry.store.collections()) {
      if (served.has(collection)) continue;
      for (const object of this.#registry.store.list(collection)) this.#registry.store.remove(collection, object);
    }
  }
}
