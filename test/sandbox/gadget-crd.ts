// Promises: a CustomResourceDefinition with every schema keyword that the sandbox knows; the real server's answers to it are
// recorded in recorded-gadgets.json. May not change without recording them anew.

export const gadgetCRD = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'gadgets.probe.io' },
  spec: {
    group: 'probe.io',
    scope: 'Namespaced',
    names: {
      plural: 'gadgets',
      singular: 'gadget',
      kind: 'Gadget',
      listKind: 'GadgetList',
      shortNames: ['gd'],
      categories: ['all'],
    },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        subresources: { status: {} },
        selectableFields: [{ jsonPath: '.spec.s' }, { jsonPath: '.spec.i' }, { jsonPath: '.spec.b' }],
        additionalPrinterColumns: [
          { name: 'S', type: 'string', jsonPath: '.spec.s' },
          { name: 'I', type: 'integer', jsonPath: '.spec.i' },
          { name: 'N', type: 'number', jsonPath: '.spec.n' },
          { name: 'B', type: 'boolean', jsonPath: '.spec.b' },
          { name: 'D', type: 'date', jsonPath: '.spec.dt' },
          { name: 'O', type: 'string', jsonPath: '.spec.o' },
          { name: 'Wide', type: 'string', priority: 1, jsonPath: '.spec.set[*]' },
        ],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            'x-kubernetes-validations': [
              { rule: "self.metadata.name != 'bad'", message: 'the name is bad' },
              {
                rule: 'has(self.spec.frozen) == has(oldSelf.spec.frozen)',
                message: 'frozen stays',
                fieldPath: '.spec.frozen',
                reason: 'FieldValueForbidden',
              },
            ],
            properties: {
              spec: {
                type: 'object',
                required: ['s'],
                properties: {
                  s: { type: 'string', minLength: 2, maxLength: 6 },
                  p: { type: 'string', pattern: '^[a-z]+$' },
                  e: { type: 'string', enum: ['A', 'B'] },
                  dt: { type: 'string', format: 'date-time' },
                  date: { type: 'string', format: 'date' },
                  dur: { type: 'string', format: 'duration' },
                  uuid: { type: 'string', format: 'uuid' },
                  byte: { type: 'string', format: 'byte' },
                  uri: { type: 'string', format: 'uri' },
                  ipv4: { type: 'string', format: 'ipv4' },
                  email: { type: 'string', format: 'email' },
                  i: { type: 'integer', minimum: 1, maximum: 10 },
                  i32: { type: 'integer', format: 'int32' },
                  ex: {
                    type: 'integer',
                    minimum: 1,
                    exclusiveMinimum: true,
                    maximum: 5,
                    exclusiveMaximum: true,
                    multipleOf: 2,
                  },
                  n: { type: 'number', maximum: 1.5 },
                  b: { type: 'boolean' },
                  nul: { type: 'string', nullable: true },
                  nod: { type: 'string', default: 'x' },
                  o: {
                    type: 'object',
                    required: ['a', 'b'],
                    properties: { a: { type: 'string' }, b: { type: 'integer' } },
                  },
                  def: { type: 'object', default: {}, properties: { k: { type: 'string', default: 'v' } } },
                  set: {
                    type: 'array',
                    'x-kubernetes-list-type': 'set',
                    maxItems: 3,
                    minItems: 1,
                    items: { type: 'string', maxLength: 10 },
                  },
                  map: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['k', 'm'],
                    maxItems: 5,
                    items: {
                      type: 'object',
                      required: ['k'],
                      properties: {
                        k: { type: 'string', maxLength: 10 },
                        m: { type: 'string', default: 'x', maxLength: 10 },
                        v: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self < 100' }] },
                      },
                    },
                  },
                  any: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  free: { 'x-kubernetes-preserve-unknown-fields': true },
                  ios: { 'x-kubernetes-int-or-string': true },
                  strs: {
                    type: 'object',
                    maxProperties: 2,
                    additionalProperties: {
                      type: 'string',
                      maxLength: 3,
                      'x-kubernetes-validations': [{ rule: "self != 'x'", message: 'no x' }],
                    },
                  },
                  emb: {
                    type: 'object',
                    'x-kubernetes-embedded-resource': true,
                    'x-kubernetes-preserve-unknown-fields': true,
                  },
                  atom: { type: 'array', maxItems: 4, items: { type: 'integer' } },
                  cel: {
                    type: 'object',
                    properties: {
                      a: { type: 'integer' },
                      b: { type: 'integer' },
                      t: { type: 'string', maxLength: 20 },
                      ts: { type: 'string', format: 'date-time' },
                      d: { type: 'string', format: 'duration' },
                    },
                    'x-kubernetes-validations': [
                      {
                        rule: '!has(self.a) || !has(self.b) || self.a < self.b',
                        messageExpression: "self.a > 5 ? 'a is big' : 'a is not below b'",
                      },
                      {
                        rule: '!has(self.t) || self.t.size() > 3',
                        fieldPath: '.t',
                        reason: 'FieldValueRequired',
                        message: 't is short',
                      },
                      { rule: "!has(self.ts) || self.ts > timestamp('2020-01-01T00:00:00Z')", message: 'ts is old' },
                      { rule: "!has(self.d) || self.d < duration('1h')", message: 'd is long' },
                      { rule: '!has(self.a) || 100 / self.a > 1' },
                    ],
                  },
                  frozen: {
                    type: 'string',
                    maxLength: 10,
                    'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'frozen cannot change' }],
                  },
                  optold: {
                    type: 'integer',
                    'x-kubernetes-validations': [
                      { rule: 'oldSelf.hasValue() || self == 1', optionalOldSelf: true, message: 'optold starts at 1' },
                    ],
                  },
                  one: {
                    type: 'object',
                    properties: { x: { type: 'string' }, y: { type: 'string' } },
                    oneOf: [{ required: ['x'] }, { required: ['y'] }],
                  },
                  anyof: {
                    type: 'object',
                    properties: { x: { type: 'string' }, y: { type: 'string' } },
                    anyOf: [{ required: ['x'] }, { required: ['y'] }],
                  },
                  notx: {
                    type: 'object',
                    properties: { x: { type: 'string' }, y: { type: 'string' } },
                    not: { required: ['x'] },
                  },
                },
              },
              status: {
                type: 'object',
                default: { observedGeneration: -1 },
                properties: {
                  observedGeneration: { type: 'integer', format: 'int64', default: -1 },
                  phase: { type: 'string', enum: ['A', 'B'] },
                  conditions: {
                    type: 'array',
                    'x-kubernetes-list-type': 'map',
                    'x-kubernetes-list-map-keys': ['type'],
                    items: {
                      type: 'object',
                      required: ['type', 'status'],
                      properties: { type: { type: 'string' }, status: { type: 'string' } },
                    },
                  },
                },
              },
            },
          },
        },
      },
    ],
  },
};
