// Promises: what a request at the API server was, from its line in the request log: a word for it, and whether it changes something.

/** `METHOD resource[/subresource]`, with the status of an answer that was no success. */
export function kindOfRequest(method: string, target: string, status: number): string {
  const url = new URL(target, 'https://sandbox.invalid');
  const parts = url.pathname.split('/').slice(url.pathname.startsWith('/api/') ? 3 : 4);
  const [resource, , subresource] = parts[0] === 'namespaces' && parts.length > 2 ? parts.slice(2) : parts;
  const verb = url.searchParams.has('watch') ? 'WATCH' : method;
  const ending = status >= 200 && status < 300 ? '' : ` ${status}`;
  return `${verb} ${resource}${subresource === undefined ? '' : `/${subresource}`}${ending}`;
}

/** What a replica does all the time, whatever it serves: its Lease, and watches. */
export function isBackground(kind: string): boolean {
  return /^\w+ leases\b|^WATCH /.test(kind);
}

/** Whether it asks for a change, a token included. */
export function isWrite(kind: string): boolean {
  return !/^(GET|WATCH) /.test(kind);
}
