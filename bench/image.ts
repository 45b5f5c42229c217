// Promises: how the image and the chart run the operator, read from their own files: Node's options, and the heap that Node gives
// itself in a pod with the chart's limit of memory, so that a benchmark outside a pod measures the same.
import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

/** Node's options in the ENTRYPOINT of a Dockerfile. */
export function nodeOptionsIn(dockerfile: string): string[] {
  const entrypoint = /^ENTRYPOINT .*$/m.exec(dockerfile)?.[0] ?? '';
  return [...entrypoint.matchAll(/"(--[^"]+)"/g)].map(([, option = '']) => option);
}

/** Node's options in the image's ENTRYPOINT: the operator runs as it is shipped. */
export const IMAGE_OPTIONS: readonly string[] = nodeOptionsIn(read('Dockerfile'));

/** The limit of memory in a chart's values, in MiB. @throws Error where there is none in Mi */
export function memoryLimitIn(values: string): number {
  const { resources } = load(values) as { readonly resources?: { readonly limits?: { readonly memory?: unknown } } };
  const limit = /^(\d+)Mi$/.exec(String(resources?.limits?.memory))?.[1];
  if (limit === undefined) throw new Error('the chart has no resources.limits.memory in Mi');
  return Number(limit);
}

/** The chart's default, in MiB. */
export const CHART_MEMORY_LIMIT_MIB: number = memoryLimitIn(read('helm/values.yaml'));

/** The least that V8 plans with. */
const LEAST_OLD_SPACE_MIB = 256;

/**
 * What Node 24 does by itself in a container: half of the container's memory is for the old generation. Seen as
 * `v8.getHeapStatistics().heap_size_limit` in memory cgroups of 256 MiB, 512 MiB and 1 GiB: the same as with this option.
 */
export function heapOption(memoryLimitMiB: number): string {
  return `--max-old-space-size=${Math.max(LEAST_OLD_SPACE_MIB, Math.floor(memoryLimitMiB / 2))}`;
}
