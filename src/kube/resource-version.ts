// Promises: order on resourceVersions. Since Kubernetes 1.35 they are comparable as unsigned integers of any length
// (KEP-5504); anything else is not compared at all. Pure. May not import anything.

const RESOURCE_VERSION = /^(0|[1-9][0-9]*)$/;

/** Whether `value` is a resourceVersion that can be compared. */
export function isComparable(value: string | undefined): value is string {
  return value !== undefined && RESOURCE_VERSION.test(value);
}

/**
 * Below 0 when `left` is older than `right`, 0 when equal, above 0 when newer; undefined when one of them is not a
 * number. Two numbers without leading zeros compare by length first, so no precision is lost above 2^53.
 */
export function compareResourceVersions(left: string | undefined, right: string | undefined): number | undefined {
  if (!isComparable(left) || !isComparable(right)) return undefined;
  if (left.length !== right.length) return left.length - right.length;
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
