// Promises: where the sandbox is known to answer otherwise than the real server, case by case, with what it does instead.
// A line whose difference has gone makes its case fail, so this list can only be true. It is empty: keep it so.

/** The name of a case -> the reason. */
export const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {};
