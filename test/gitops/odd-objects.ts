// Promises: objects of our kind in which anything may be missing or of another type, among many that are nearly right.
import fc from 'fast-check';

const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
const odd = fc.oneof(scalar, fc.array(scalar), fc.dictionary(fc.string(), scalar));
const mostly = (usual: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 15, arbitrary: usual }, { weight: 1, arbitrary: odd });
const someOf = (...values: readonly unknown[]): fc.Arbitrary<unknown> => mostly(fc.constantFrom(...values));

const condition = fc.record(
  {
    type: someOf('Ready', 'Ready', 'Reconciling', 'Stalled', 'Refreshed'),
    status: someOf('True', 'False'),
    reason: someOf('Issued', 'Expired', 'AccessDenied'),
    message: someOf('A message.'),
  },
  { requiredKeys: ['type', 'status'] },
);
const status = fc.record(
  {
    observedGeneration: someOf(1, 1, 1, -1),
    conditions: mostly(fc.array(mostly(condition), { minLength: 1, maxLength: 4 })),
    expirationTime: someOf('2026-11-22T12:00:00Z', '2999-11-22T12:00:00Z'),
  },
  { requiredKeys: ['observedGeneration'] },
);

/** The objects. */
export const oddObjects: fc.Arbitrary<object> = fc.record(
  {
    apiVersion: fc.constant('workloadcredentials.io/v1alpha1'),
    kind: fc.constant('WorkloadCredential'),
    metadata: mostly(fc.record({ generation: someOf(1) })),
    spec: mostly(fc.record({ suspend: someOf(true, false, false, false) }, { requiredKeys: [] })),
    status: mostly(status),
  },
  { requiredKeys: ['apiVersion', 'kind'] },
);
