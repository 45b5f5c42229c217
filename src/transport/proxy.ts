// Promises: what an HTTP proxy's URL and a NO_PROXY list mean, as Go's programs read them (golang.org/x/net/http/httpproxy,
// which client-go uses), and which way a connection takes. Pure. A proxy's password is printed by nothing: no message,
// no property, no JSON. May not read the environment, open connections, or resolve names.
import { BlockList, isIP } from 'node:net';

/** Which proxy the connection to an origin goes through; undefined: directly. */
export type Route = (origin: URL) => HTTPProxy | undefined;

/** An HTTP/1.1 proxy that tunnels by CONNECT. */
export class HTTPProxy {
  /** `http://host:port`: no path, and never the credentials. */
  readonly origin: string;
  /** `host:port`, for messages. */
  readonly hostAndPort: string;
  readonly hasCredentials: boolean;
  readonly #authorization: string | undefined;

  constructor(url: URL, authorization: string | undefined) {
    this.hostAndPort = `${url.hostname}:${url.port === '' ? DEFAULT_PORT : url.port}`;
    this.origin = `http://${this.hostAndPort}`;
    this.hasCredentials = authorization !== undefined;
    this.#authorization = authorization;
  }

  /** What the proxy alone is told, with CONNECT: RFC 9110 section 11.7.2. Secret. */
  authorizationHeaders(): Readonly<Record<string, string>> {
    return this.#authorization === undefined ? {} : { 'proxy-authorization': this.#authorization };
  }
}

/** A proxy, or why the text is none: the rest of a sentence, which repeats no more of the text than its scheme. */
export type ParsedProxy = { readonly proxy: HTTPProxy } | { readonly problem: string };

/** Where a proxy's URL names no port; Go's default for http. */
const DEFAULT_PORT = '80';
const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;
const HOST = /^(?:[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9.])?|\[[0-9a-f:.]+\])$/;
/** What would end the header that carries it, or is no text. */
const CONTROL = /[\p{Cc}]/u;

/**
 * Reads a proxy's URL: `http://[user:password@]host[:port]`, or `host:port` as Go and curl take it.
 * User and password are percent-encoded.
 */
export function parseProxy(text: string): ParsedProxy {
  const trimmed = text.trim();
  const scheme = SCHEME.exec(trimmed)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http') {
    return { problem: `${schemeProblem(scheme)}; give the URL of an HTTP proxy, such as http://proxy.example:3128` };
  }
  const whole = scheme === undefined ? `http://${trimmed}` : trimmed;
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || !HOST.test(url.hostname) || url.port === '0') {
    return { problem: 'it is no URL of a proxy; write it as http://host:port' };
  }
  if (url.pathname + url.search + url.hash !== '/') {
    return { problem: 'it has a path, a query or a fragment; write it as http://host:port' };
  }
  return withCredentials(url);
}

/**
 * Reads a proxy's URL from a command line, which whoever sees the pod or the process list can read: so it may not hold
 * a password.
 */
export function readProxyFlag(text: string): { readonly proxy?: HTTPProxy; readonly problem?: string } {
  const parsed = parseProxy(text);
  if ('problem' in parsed) {
    return { problem: `cannot be used: ${parsed.problem}` };
  }
  const { proxy } = parsed;
  return proxy.hasCredentials
    ? {
        problem: `for ${proxy.hostAndPort} has a user or password, which a command line shows to everybody: set HTTPS_PROXY in the environment from a Secret instead`,
      }
    : { proxy };
}

function schemeProblem(scheme: string): string {
  if (scheme === 'https') {
    return 'it is an https:// URL, and TLS to the proxy itself is not supported: what passes through it is TLS from end to end in any case';
  }
  return scheme.startsWith('socks')
    ? `it is a ${scheme}:// URL, and SOCKS is not supported`
    : 'its scheme is not http://';
}

/** RFC 7617: the user has no colon, neither has a control character. */
function withCredentials(url: URL): ParsedProxy {
  if (url.username === '' && url.password === '') {
    return { proxy: new HTTPProxy(url, undefined) };
  }
  const user = decoded(url.username);
  const password = decoded(url.password);
  if (user === undefined || password === undefined || user.includes(':') || CONTROL.test(user + password)) {
    return {
      problem:
        'its user or password cannot be sent; percent-encode them, with neither ":" in the user nor control characters',
    };
  }
  return { proxy: new HTTPProxy(url, `Basic ${Buffer.from(`${user}:${password}`, 'utf8').toString('base64')}`) };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Where a connection goes to: the host in lower case, without brackets and without the dot at the end. */
interface Target {
  readonly host: string;
  readonly port: string;
  /** 4, 6, or 0 for a name. */
  readonly family: number;
}

type Rule = (target: Target) => boolean;

/** A list of destinations that are reached without the proxy. */
export class NoProxy {
  readonly #rules: readonly Rule[];
  /** Items that mean nothing: as in Go's programs they match nothing. */
  readonly unreadable: readonly string[];

  /** @param text items between commas or white space: name, `.suffix`, `*.suffix`, address, network, each but a network with `:port`; or `*`. */
  constructor(text: string) {
    const rules: Rule[] = [];
    const unreadable: string[] = [];
    for (const item of text.split(/[\s,]+/)) {
      const rule = item === '' ? undefined : toRule(item.toLowerCase());
      if (rule !== undefined) rules.push(rule);
      // What was meant as a proxy's URL may have a password in front of its host.
      else if (item !== '') unreadable.push(item.replace(/^.*@/, '***@'));
    }
    this.#rules = rules;
    this.unreadable = unreadable;
  }

  /** Whether the connection to this origin goes directly. Names are compared as they are written, never resolved. */
  covers(origin: URL): boolean {
    const host = origin.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '');
    const port = origin.port === '' ? (origin.protocol === 'http:' ? '80' : '443') : origin.port;
    const target = { host, port, family: isIP(host) };
    return this.#rules.some((rule) => rule(target));
  }
}

const LABELS = /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
/** Such as `10.` or `10.*`: part of an address, which no name ends in. */
const NUMBER_AT_END = /(^|\.)[0-9]+$/;

function toRule(item: string): Rule | undefined {
  if (item === '*') return () => true;
  if (item.includes('/')) return networkRule(item);
  const { host, port } = splitPort(item);
  if (port !== undefined && !(/^[0-9]{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65_536)) return undefined;
  const onPort: Rule = (target) => port === undefined || Number(port) === Number(target.port);
  const place = isIP(host) === 0 ? nameRule(host) : addressRule(host);
  return place === undefined ? undefined : (target) => place(target) && onPort(target);
}

/** An IPv6 address is in brackets where a port follows. */
function splitPort(item: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]+)\](?::(.*))?$/.exec(item);
  if (bracketed !== null) {
    return { host: bracketed[1] ?? '', port: bracketed[2] };
  }
  const colon = item.indexOf(':');
  return isIP(item) === 6 || colon < 0
    ? { host: item, port: undefined }
    : { host: item.slice(0, colon), port: item.slice(colon + 1) };
}

const FAMILIES = { 4: 'ipv4', 6: 'ipv6' } as const;

function familyName(family: number): 'ipv4' | 'ipv6' {
  return family === 6 ? FAMILIES[6] : FAMILIES[4];
}

function networkRule(item: string): Rule | undefined {
  const [, address = '', prefix = ''] = /^([0-9a-f.:]+)\/([0-9]{1,3})$/.exec(item) ?? [];
  const family = isIP(address);
  if (family === 0 || Number(prefix) > (family === 4 ? 32 : 128)) return undefined;
  const network = new BlockList();
  network.addSubnet(address, Number(prefix), familyName(family));
  return (target) => target.family !== 0 && network.check(target.host, familyName(target.family));
}

function addressRule(address: string): Rule {
  const list = new BlockList();
  list.addAddress(address, familyName(isIP(address)));
  return (target) => target.family !== 0 && list.check(target.host, familyName(target.family));
}

/** `example.com` covers itself and what is below it, `.example.com` and `*.example.com` only what is below. */
function nameRule(item: string): Rule | undefined {
  const isSuffix = /^\*?\./.test(item);
  const name = item.replace(/^\*?\./, '').replace(/\.$/, '');
  if (!LABELS.test(name) || NUMBER_AT_END.test(name)) return undefined;
  return ({ host, family }) => family === 0 && (host.endsWith(`.${name}`) || (!isSuffix && host === name));
}

const LOOPBACK = new NoProxy('127.0.0.0/8,::1');

/** Whether the origin is on this machine; as in Go's programs, such never goes through a proxy. */
function isLoopback(origin: URL): boolean {
  return origin.hostname === 'localhost' || LOOPBACK.covers(origin);
}

/** The way through a proxy, for all but this machine itself and what the list excepts. */
export function routeThrough(proxy: HTTPProxy | undefined, noProxy: NoProxy | undefined): Route {
  return (origin) =>
    proxy === undefined || isLoopback(origin) || noProxy?.covers(origin) === true ? undefined : proxy;
}
