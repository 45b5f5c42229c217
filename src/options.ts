// Promises: command line in, frozen options out, or the list of ALL that is wrong with it, one sentence each that names the
// flag, the value and the fix. Pure. The register of flags below is what the chart and docs/reference/options.md are
// compared with.
import { parseArgs } from 'node:util';
import { GROUP } from './api/names.ts';
import { type EndpointEntry, parseEndpointOption } from './providers/endpoints.ts';
import { LOG_LEVELS, type LogLevel } from './telemetry/logger.ts';
import { type HTTPProxy, NoProxy, readProxyFlag } from './transport/proxy.ts';

/** What the operator is told. */
export interface Options {
  readonly kubeconfig: string | undefined;
  /** Empty: all namespaces. */
  readonly namespaces: readonly string[];
  readonly clusterName: string | undefined;
  readonly logLevel: LogLevel;
  readonly listenAddress: string;
  readonly leaderElect: boolean;
  readonly leaseName: string;
  /** Undefined: the operator's own namespace, which only a pod knows. */
  readonly leaseNamespace: string | undefined;
  readonly workers: number;
  readonly requireConsent: boolean;
  readonly minRefreshIntervalSeconds: number;
  readonly stsEndpoints: readonly EndpointEntry[];
  readonly stsCAFile: string | undefined;
  readonly stsExtraCAFile: string | undefined;
  /** Undefined: the environment decides. The same for the list. */
  readonly httpsProxy: HTTPProxy | undefined;
  readonly noProxy: NoProxy | undefined;
  readonly inClusterProxy: boolean;
  readonly stsRequestsPerSecond: number;
  readonly stsBurst: number;
  readonly apiServerAudiences: readonly string[];
  readonly allowedMetadataDomains: readonly string[];
  readonly perCredentialMetrics: boolean;
  readonly expectFences: boolean;
}

/** A command line, read. */
export type ParsedOptions =
  | { readonly kind: 'run'; readonly options: Options }
  | { readonly kind: 'help' | 'version' }
  | { readonly kind: 'wrong'; readonly problems: readonly string[] };

interface Flag {
  readonly value: string;
  readonly default: string;
  readonly help: string;
  readonly multiple?: boolean;
  /** Whether the value may be empty, and then means none. */
  readonly mayBeEmpty?: boolean;
}

/** Every flag: the form of its value, its default as text, and what it does. */
export const FLAGS = {
  kubeconfig: {
    value: 'FILE',
    default: '',
    help: "Where the API server is, outside a cluster. Without it the pod's own ServiceAccount is used.",
  },
  namespaces: {
    value: 'NAME[,NAME...]',
    default: '',
    help: 'The namespaces to serve. Without it all are served, which needs cluster-wide RBAC.',
  },
  'cluster-name': {
    value: 'NAME',
    default: '',
    help: "Stands first in session names, so that the cloud's audit log tells clusters apart.",
  },
  'log-level': { value: LOG_LEVELS.join('|'), default: 'info', help: 'The least severe lines that are logged.' },
  'listen-address': {
    value: '[HOST]:PORT',
    default: ':8080',
    help: 'Where /livez, /readyz and /metrics are served, over plain http. Without a host: on all addresses, of IPv6 and IPv4.',
  },
  'leader-elect': {
    value: 'true|false',
    default: 'true',
    help: 'Whether replicas elect one that works. Without it run exactly one replica.',
  },
  'lease-name': { value: 'NAME', default: 'workload-credentials', help: 'The Lease by which they do.' },
  'lease-namespace': {
    value: 'NAME',
    default: '',
    help: "The Lease's namespace. Default: the pod's own; with --kubeconfig it has to be given.",
  },
  workers: { value: 'NUMBER', default: '16', help: 'How many credentials are worked on at once: 1 to 256.' },
  'require-consent': {
    value: 'true|false',
    default: 'true',
    help: `Whether a ServiceAccount has to consent by the annotation ${GROUP}/allow.`,
  },
  'min-refresh-interval-seconds': {
    value: 'SECONDS',
    default: '60',
    help: 'The least time between two refreshes of a credential, and between two exchanges that a forced refresh or an edit asks for: 1 to 3600, but never more than a third of its life.',
  },
  'sts-endpoint': {
    value: 'CLOUD=URL=AUDIENCE[,AUDIENCE...]',
    default: '',
    multiple: true,
    help: "An STS endpoint that resources may name beside the cloud's own, and the audiences of its tokens. Repeatable.",
  },
  'sts-ca-file': {
    value: 'FILE',
    default: '',
    help: 'PEM certificates that STS endpoints are verified with, in place of the public authorities. Read again when it changes.',
  },
  'sts-extra-ca-file': {
    value: 'FILE',
    default: '',
    help: 'PEM certificates that STS endpoints are verified with, beside the public authorities: for a proxy that reads what passes through it, or private endpoints next to public ones. The API server is never verified with them. Read again when it changes.',
  },
  'https-proxy': {
    value: 'http://HOST:PORT',
    default: '',
    help: "The HTTP proxy through which STS is reached, and the API server of --kubeconfig. Default: HTTPS_PROXY or https_proxy of the environment, which alone may hold the proxy's user and password.",
  },
  'no-proxy': {
    value: 'ITEM[,ITEM...]',
    default: '',
    help: 'What is reached without the proxy: names (with all below them), .suffixes, addresses, networks such as 10.0.0.0/8, each but a network with :PORT if need be; * for all. Default: NO_PROXY or no_proxy of the environment. Loopback always is.',
  },
  'in-cluster-proxy': {
    value: 'true|false',
    default: 'false',
    help: 'Whether a pod reaches its own API server through the proxy too, but for what --no-proxy excepts. Otherwise it goes there directly.',
  },
  'sts-requests-per-second': {
    value: 'NUMBER',
    default: '10',
    help: 'The most requests to STS per second, for each cloud, account and endpoint.',
  },
  'sts-burst': { value: 'NUMBER', default: '20', help: 'How many of them may come at once.' },
  'api-server-audiences': {
    value: 'AUDIENCE[,AUDIENCE...]',
    default: 'https://kubernetes.default.svc,https://kubernetes.default.svc.cluster.local',
    help: "The API server's own audiences, which no token for an STS may have. Those of the operator's own token are added.",
  },
  'allowed-metadata-domains': {
    value: 'DOMAIN[,DOMAIN...]',
    default: 'app.kubernetes.io',
    mayBeEmpty: true,
    help: 'Domains whose label and annotation keys spec.secret may set on Secrets. Empty: none.',
  },
  'per-credential-metrics': {
    value: 'true|false',
    default: 'true',
    help: 'Whether expiration and refresh times are exported for each credential.',
  },
  'expect-fences': {
    value: 'true|false',
    default: 'false',
    help: "Whether the chart's admission policies about the operator are there: then the leader looks every five minutes whether they are in force, by asking for what they refuse, and tells it as a metric.",
  },
} as const satisfies Readonly<Record<string, Flag>>;

type FlagName = keyof typeof FLAGS;

/** RFC 1123 label, https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names */
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
const CLUSTER_NAME = /^[A-Za-z0-9._-]{1,32}$/;

/**
 * Reads a command line.
 * @param args without the program's own name.
 */
export function parseOptions(args: readonly string[]): ParsedOptions {
  if (args.includes('--help') || args.includes('-h')) {
    return { kind: 'help' };
  }
  if (args.includes('--version')) {
    return { kind: 'version' };
  }
  const { values, problems } = readFlags(args);
  const reader = new Reader(values, problems);
  const options = readOptions(reader);
  return problems.length === 0 ? { kind: 'run', options: Object.freeze(options) } : { kind: 'wrong', problems };
}

/** The text of --help. */
export function helpText(): string {
  const lines = Object.entries(FLAGS).map(([name, flag]: [string, Flag]) => {
    const ending = flag.default === '' ? '' : ` Default: ${flag.default}`;
    return `  --${name}=${flag.value}\n      ${flag.help}${ending}`;
  });
  return `Exchanges ServiceAccount tokens for short-lived cloud credentials and keeps them fresh in Secrets.\n\nOptions:\n${lines.join('\n')}\n  --version\n  --help\n`;
}

type Values = Readonly<Partial<Record<FlagName, string | readonly string[]>>>;

function readFlags(args: readonly string[]): { values: Values; problems: string[] } {
  const problems: string[] = [];
  const values: Partial<Record<FlagName, string | string[]>> = {};
  // strict: false gives every token as it stands, so that all mistakes are found and not only the first.
  const config = Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({
    args: [...args],
    options: config,
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  for (const token of tokens) {
    if (token.kind === 'positional') {
      problems.push(`"${token.value}" is no flag: write --name=value, and see --help.`);
    } else if (token.kind === 'option') {
      readFlag(token, values, problems);
    }
  }
  return { values, problems };
}

function readFlag(
  token: { readonly name: string; readonly rawName: string; readonly value?: string | undefined },
  values: Partial<Record<FlagName, string | string[]>>,
  problems: string[],
): void {
  if (!isFlag(token.name)) {
    problems.push(`${token.rawName} is no flag of this version: see --help for the list.`);
    return;
  }
  const { name, value } = token;
  const flag: Flag = FLAGS[name];
  const before = values[name];
  if (value === undefined || (value === '' && flag.mayBeEmpty !== true)) {
    problems.push(`--${name} has no value: write --${name}=${flag.value}.`);
  } else if (flag.multiple === true) {
    values[name] = [...(Array.isArray(before) ? before : []), value];
  } else if (before !== undefined) {
    problems.push(`--${name} is given twice: leave one out.`);
  } else {
    values[name] = value;
  }
}

function isFlag(name: string): name is FlagName {
  return Object.hasOwn(FLAGS, name);
}

/** Reads values by kind and collects what is wrong with them. */
class Reader {
  readonly #values: Values;
  readonly #problems: string[];

  constructor(values: Values, problems: string[]) {
    this.#values = values;
    this.#problems = problems;
  }

  text(name: FlagName): string {
    const value = this.#values[name];
    return typeof value === 'string' ? value : FLAGS[name].default;
  }

  optional(name: FlagName, pattern?: RegExp, what?: string): string | undefined {
    const value = this.text(name);
    if (value === '') {
      return undefined;
    }
    if (pattern !== undefined && !pattern.test(value)) {
      this.wrong(name, value, `it has to be ${what ?? 'another value'}`);
    }
    return value;
  }

  list(name: FlagName, pattern: RegExp, what: string): readonly string[] {
    const items = this.text(name)
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
    for (const item of items) {
      if (!pattern.test(item)) {
        this.wrong(name, item, `each item has to be ${what}`);
      }
    }
    return items;
  }

  flag(name: FlagName): boolean {
    const value = this.text(name);
    if (value !== 'true' && value !== 'false') {
      this.wrong(name, value, 'it has to be true or false');
    }
    return value === 'true';
  }

  number(name: FlagName, least: number, most: number, whole = true): number {
    const text = this.text(name);
    const value = Number(text);
    const good =
      /^[0-9]+(\.[0-9]+)?$/.test(text) && (!whole || Number.isInteger(value)) && value >= least && value <= most;
    if (!good) {
      this.wrong(name, text, `it has to be a ${whole ? 'whole ' : ''}number from ${least} to ${most}`);
    }
    return value;
  }

  repeated(name: FlagName): readonly string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value : [];
  }

  wrong(name: FlagName, value: string, fix: string): void {
    this.#problems.push(`--${name} is "${value}": ${fix}.`);
  }

  problem(sentence: string): void {
    this.#problems.push(sentence);
  }
}

function readOptions(reader: Reader): Options {
  const options: Options = {
    kubeconfig: reader.optional('kubeconfig'),
    namespaces: reader.list('namespaces', NAMESPACE, 'the name of a namespace'),
    clusterName: reader.optional('cluster-name', CLUSTER_NAME, 'at most 32 of letters, digits, ".", "_" and "-"'),
    logLevel: readLogLevel(reader),
    listenAddress: reader.text('listen-address'),
    leaderElect: reader.flag('leader-elect'),
    leaseName: reader.optional('lease-name', DNS_SUBDOMAIN, 'a legal name of a Lease') ?? '',
    leaseNamespace: reader.optional('lease-namespace', NAMESPACE, 'the name of a namespace'),
    workers: reader.number('workers', 1, 256),
    requireConsent: reader.flag('require-consent'),
    minRefreshIntervalSeconds: reader.number('min-refresh-interval-seconds', 1, 3600),
    stsEndpoints: readEndpoints(reader),
    stsCAFile: reader.optional('sts-ca-file'),
    stsExtraCAFile: reader.optional('sts-extra-ca-file'),
    httpsProxy: readProxy(reader),
    noProxy: readNoProxy(reader),
    inClusterProxy: reader.flag('in-cluster-proxy'),
    stsRequestsPerSecond: reader.number('sts-requests-per-second', 0.1, 1000, false),
    stsBurst: reader.number('sts-burst', 1, 10_000),
    apiServerAudiences: reader.list('api-server-audiences', /^[^\s,]{1,255}$/, 'an audience'),
    allowedMetadataDomains: reader.list('allowed-metadata-domains', DNS_SUBDOMAIN, 'a domain'),
    perCredentialMetrics: reader.flag('per-credential-metrics'),
    expectFences: reader.flag('expect-fences'),
  };
  if (options.kubeconfig !== undefined && options.leaderElect && options.leaseNamespace === undefined) {
    reader.problem(
      '--lease-namespace is missing: with --kubeconfig name the namespace of the Lease, or set --leader-elect=false.',
    );
  }
  checkTogether(options, reader);
  const own = options.allowedMetadataDomains.find((domain) => domain === GROUP || domain.endsWith(`.${GROUP}`));
  if (own !== undefined) {
    reader.wrong('allowed-metadata-domains', own, "the operator's own domain cannot be given to users");
  }
  return options;
}

/** Flags that exclude each other. */
function checkTogether(options: Options, reader: Reader): void {
  if (options.stsCAFile !== undefined && options.stsExtraCAFile !== undefined) {
    reader.problem(
      '--sts-ca-file and --sts-extra-ca-file are both given, and the first replaces what the second adds to: give one, a file may hold many certificates.',
    );
  }
  if (options.kubeconfig !== undefined && options.inClusterProxy) {
    reader.problem(
      '--in-cluster-proxy=true is for pods without --kubeconfig: leave it out, a kubeconfig goes through the proxy as with kubectl.',
    );
  }
}

function readProxy(reader: Reader): HTTPProxy | undefined {
  const text = reader.optional('https-proxy');
  const { proxy, problem } = text === undefined ? {} : readProxyFlag(text);
  if (problem !== undefined) {
    reader.problem(`--https-proxy ${problem}.`);
  }
  return proxy;
}

function readNoProxy(reader: Reader): NoProxy | undefined {
  const text = reader.optional('no-proxy');
  const list = text === undefined ? undefined : new NoProxy(text);
  for (const item of list?.unreadable ?? []) {
    reader.wrong('no-proxy', item, 'each item has to be a name, .suffix, address or network, or * alone');
  }
  return list;
}

function readLogLevel(reader: Reader): LogLevel {
  const text = reader.text('log-level');
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined) {
    reader.wrong('log-level', text, `it has to be one of ${LOG_LEVELS.join(', ')}`);
  }
  return level ?? 'info';
}

function readEndpoints(reader: Reader): readonly EndpointEntry[] {
  const entries: EndpointEntry[] = [];
  for (const text of reader.repeated('sts-endpoint')) {
    const { entry, error } = parseEndpointOption(text);
    if (entry === undefined) {
      reader.problem(error);
    } else {
      entries.push(entry);
    }
  }
  return entries;
}
