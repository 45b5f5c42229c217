// Promises: reads an origin (scheme, host, port) and nothing else; what a URL parser would repair is refused, so that the
// text that was judged is the text that is used. Pure. May not know any cloud.

/** RFC 1035: a label has at most 63 characters, a name at most 253. */
export const MAX_LABEL_LENGTH = 63;
const MAX_HOST_LENGTH = 253;
/** scheme, host (name, IPv4 or bracketed IPv6 without zone), port, at most one slash; and nothing else. */
const ORIGIN = /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?\/?$/;
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
/** `127.0.0.0/8` and `::1` with a port, literally: the only places where plain http is a test bed and not a leak. */
const LOOPBACK_WITH_PORT = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):\d+$/;
const MAX_SHOWN_LENGTH = 120;

/** The URL of an origin as text, or why it is none. Nothing is repaired: what a parser would rewrite is refused. */
export function parseOrigin(text: string): URL | string {
  const match = ORIGIN.exec(text);
  if (match === null) {
    return 'it is not https://<host>[:port] in lower case';
  }
  const [, scheme = '', host = '', port] = match;
  const refused = host.startsWith('[') ? undefined : hostProblem(host);
  if (refused !== undefined) {
    return refused;
  }
  if (scheme === 'http' && !LOOPBACK_WITH_PORT.test(`${host}:${port}`)) {
    return 'plain http is for a loopback address with a port only, such as http://127.0.0.1:8333';
  }
  return canonicalURL(scheme, host, port) ?? 'its host or port is not written in the usual form';
}

/** The URL if the parser reads it exactly as it is written; https may name its own port. */
function canonicalURL(scheme: string, host: string, port: string | undefined): URL | undefined {
  const bare = port === undefined || (scheme === 'https' && port === '443');
  const origin = `${scheme}://${bare ? host : `${host}:${port}`}/`;
  return URL.canParse(origin) && new URL(origin).href === origin ? new URL(origin) : undefined;
}

function hostProblem(host: string): string | undefined {
  const labels = host.split('.');
  if (host.length > MAX_HOST_LENGTH || labels.some((label) => label.length > MAX_LABEL_LENGTH)) {
    return 'its host is too long';
  }
  if (!labels.every((label) => DNS_LABEL.test(label))) {
    return 'its host has an empty or malformed label';
  }
  return labels.some((label) => label.startsWith('xn--')) ? 'its host is an internationalised name' : undefined;
}

/** A foreign text for a message: printable, short, quoted, and without the userinfo that may be in front of a host. */
export function shown(text: string): string {
  const at = text.lastIndexOf('@');
  const clean = (at < 0 ? text : `***${text.slice(at)}`).replace(/[^\x20-\x7e]/g, '?');
  return `"${clean.length > MAX_SHOWN_LENGTH ? `${clean.slice(0, MAX_SHOWN_LENGTH)}...` : clean}"`;
}
