// Promises: the four Reflect functions that @peculiar/x509's dependency container calls, as the decorator-metadata
// proposal defines them, when nothing else has put them there. Import it before @peculiar/x509. It is not a full polyfill:
// metadata of properties is not kept.

type Metadata = Map<unknown, unknown>;

const metadataOf = new WeakMap<object, Metadata>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return metadataOf.get(target)?.get(key);
}

function getMetadata(key: unknown, target: object): unknown {
  for (let owner: object | null = target; owner !== null; owner = Object.getPrototypeOf(owner) as object | null) {
    const value = getOwnMetadata(key, owner);
    if (value !== undefined) return value;
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const metadata = metadataOf.get(target) ?? new Map<unknown, unknown>();
  metadata.set(key, value);
  metadataOf.set(target, metadata);
}

function hasOwnMetadata(key: unknown, target: object): boolean {
  return metadataOf.get(target)?.has(key) ?? false;
}

function metadata(key: unknown, value: unknown): (target: object) => void {
  return (target) => {
    defineMetadata(key, value, target);
  };
}

if (!('getMetadata' in Reflect)) {
  Object.assign(Reflect, { getMetadata, getOwnMetadata, hasOwnMetadata, defineMetadata, metadata });
}
