// Promises: one plain GET over TLS with a given authority, for readiness probes of the beds: no pool, no retry, no proxy
// from the environment.
import { request } from 'node:https';

/** Status and body of an answer. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** GETs `url`, trusting `caPEM` only. @throws Error when no answer comes within 5 s. */
export async function getOverTLS(url: string, caPEM: string): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const get = request(url, { ca: caPEM, agent: false, timeout: 5_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
    get.on('timeout', () => get.destroy(new Error(`no answer from ${url} within 5 s`)));
    get.on('error', reject);
    get.end();
  });
}
