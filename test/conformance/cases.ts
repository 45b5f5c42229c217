// Promises: every case, in the groups in which they are recorded. Names are unique, and so are the namespaces made of them.
import { definitionCases } from './cases/definitions.ts';
import { deletionCases } from './cases/deletions.ts';
import { discoveryCases } from './cases/discovery.ts';
import { eventCases } from './cases/events.ts';
import { listCases } from './cases/lists.ts';
import { objectCases } from './cases/objects.ts';
import { patchCases } from './cases/patches.ts';
import { requestCases } from './cases/requests.ts';
import { resourceCases } from './cases/resources.ts';
import { selectorCases } from './cases/selectors.ts';
import { tableCases } from './cases/tables.ts';
import { tokenCases } from './cases/tokens.ts';
import { watchCases } from './cases/watches.ts';
import { KNOWN_DIFFERENCES } from './differences.ts';
import { namespaceOf } from './scene.ts';
import type { ConformanceCase } from './scene.ts';

const GROUPS: Readonly<Record<string, readonly ConformanceCase[]>> = {
  objects: objectCases,
  patches: patchCases,
  deletions: deletionCases,
  lists: listCases,
  watches: watchCases,
  resources: resourceCases,
  events: eventCases,
  tokens: tokenCases,
  discovery: discoveryCases,
  selectors: selectorCases,
  definitions: definitionCases,
  tables: tableCases,
  requests: requestCases,
};

function marked(each: ConformanceCase): ConformanceCase {
  const knownDifference = KNOWN_DIFFERENCES[each.name];
  return knownDifference === undefined ? each : { ...each, knownDifference };
}

/** By group. */
export const CASES: Readonly<Record<string, readonly ConformanceCase[]>> = Object.fromEntries(
  Object.entries(GROUPS).map(([group, cases]) => [group, cases.map(marked)]),
);

const names = Object.values(CASES).flatMap((cases) => cases.map(({ name }) => name));
const unknown = Object.keys(KNOWN_DIFFERENCES).filter((name) => !names.includes(name));
if (unknown.length > 0) throw new Error(`no case has the name of this known difference: ${unknown.join(', ')}`);
const namespaces = names.map(namespaceOf);
const twice = namespaces.filter((name, index) => namespaces.indexOf(name) !== index);
if (twice.length > 0) throw new Error(`two cases would share a namespace: ${twice.join(', ')}`);
