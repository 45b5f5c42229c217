// Promises: which of the chart's two scopes an end-to-end file installs when its story is the same in both: the file's usual
// one, or for all such files the one that the run asks for (`npm run test:e2e -- --scope=namespaces`). It reads one variable.
import assert from 'node:assert/strict';

/** The variable by which a run asks for a scope. */
export const SCOPE_VARIABLE = 'E2E_SCOPE';

/** The scopes that a whole run can be in. */
export const RUN_SCOPES = ['namespaces', 'clusterWide'] as const;
/** One of them. */
export type RunScope = (typeof RUN_SCOPES)[number];

/** `clusterWide`, or the namespaces that the chart gives Roles in. */
export type Scope = 'clusterWide' | readonly string[];

/** Whether a word names one. */
export function isRunScope(word: string): word is RunScope {
  return (RUN_SCOPES as readonly string[]).includes(word);
}

/**
 * The scope of a file.
 * @param usual what it takes when the run asks for nothing.
 * @param namespaces all that its credentials live in; they are there before the chart, which makes Roles in them.
 * @throws AssertionError when the run asks for what is no scope.
 */
export function scopeFor(usual: RunScope, namespaces: readonly string[]): Scope {
  const asked = process.env[SCOPE_VARIABLE] ?? '';
  assert.ok(asked === '' || isRunScope(asked), `${SCOPE_VARIABLE}=${asked}: choose from ${RUN_SCOPES.join(', ')}`);
  return (asked === '' ? usual : asked) === 'clusterWide' ? 'clusterWide' : [...new Set(namespaces)];
}

/** What the chart gives the program for a scope: for files that start it with arguments of their own. */
export function scopeArguments(scope: Scope): string[] {
  return scope === 'clusterWide' ? [] : [`--namespaces=${scope.join(',')}`];
}
