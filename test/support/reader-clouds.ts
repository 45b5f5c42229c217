// Promises: the STS of three clouds as a reader of the documentation meets them: under the clouds' own host names, with TLS,
// for the clouds' own audiences. AWS is SeaweedFS, which is not ours; the others are the sandbox's. All verify the cluster's
// tokens by the issuer's documents. The names exist in this bed's proxy only: nothing leaves the machine.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../sandbox/certificates.ts';
import type { ServerOutcome, ServerRequest } from '../../sandbox/http.ts';
import { listen } from '../../sandbox/listener.ts';
import type { Listener } from '../../sandbox/listener.ts';
import { AlibabaCloudSecurityTokenService } from '../../sandbox/sts/alibaba-cloud.ts';
import { AWSSecurityTokenService } from '../../sandbox/sts/aws.ts';
import { VolcengineSecurityTokenService } from '../../sandbox/sts/volcengine.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { getOverTLS } from '../beds/https.ts';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { SeaweedFSBed, SeaweedFSRole } from '../beds/seaweedfs.ts';
import { startConnectProxy } from './connect-proxy.ts';

/** The hosts that the samples' regions lead to. */
const AWS_HOST = 'sts.eu-west-1.amazonaws.com';
const ALIBABA_CLOUD_HOST = 'sts.cn-hangzhou.aliyuncs.com';
const VOLCENGINE_HOST = 'sts.cn-beijing.volcengineapi.com';
const HTTPS_PORT = 443;
/** The OIDC providers' names in the pages and samples. */
const ALIBABA_CLOUD_PROVIDER = 'ack-rrsa-c123';
const VOLCENGINE_PROVIDER = 'my-cluster';

/** What they trust, and what there is. */
export interface ReaderCloudsOptions {
  readonly issuer: string;
  /** The authority of the issuer's https server. */
  readonly issuerCAPEM: string;
  /** For the proxy's authority; removed by who made it. */
  readonly directory: string;
  /** Roles at AWS. Without any AWS is the sandbox's, too. */
  readonly awsRoles?: readonly SeaweedFSRole[];
}

/** Running clouds. */
export interface ReaderClouds {
  /** The sandbox's; where there are awsRoles it is not behind AWS's name, and is asked by the test alone. */
  readonly aws: AWSSecurityTokenService;
  readonly alibabaCloud: AlibabaCloudSecurityTokenService;
  readonly volcengine: VolcengineSecurityTokenService;
  readonly seaweedFS: SeaweedFSBed | undefined;
  /** What an operator of this bed needs beside its own arguments. */
  readonly operatorArguments: readonly string[];
  /** `host:port` of every tunnel that was asked for. */
  targets(): readonly string[];
  stop(): Promise<void>;
}

/** Passes a request on as it is. */
function passTo(url: string): (request: ServerRequest) => Promise<ServerOutcome> {
  return async ({ method, target, headers, body }) => {
    const contentType = headers['content-type'];
    const answer = await fetch(new URL(target, url), {
      method,
      ...(typeof contentType === 'string' ? { headers: { 'content-type': contentType } } : {}),
      ...(body.length === 0 ? {} : { body: Buffer.from(body) }),
    });
    const answerHeaders = {
      'content-type': answer.headers.get('content-type') ?? 'text/xml',
      date: answer.headers.get('date') ?? new Date().toUTCString(),
    };
    return { status: answer.status, headers: answerHeaders, body: await answer.text() };
  };
}

/** Fetches a document of the issuer as a cloud does. */
function fetchJSONOver(caPEM: string): (url: string) => Promise<unknown> {
  return async (url) => {
    const { status, body } = await getOverTLS(url, caPEM);
    if (status !== 200) throw new Error(`${url}: ${status}`);
    return JSON.parse(body) as unknown;
  };
}

/** Starts them. */
export async function startReaderClouds(options: ReaderCloudsOptions): Promise<ReaderClouds> {
  const { issuer, issuerCAPEM, directory, awsRoles = [] } = options;
  const authority = await createAuthority('reader-clouds');
  const dns = [AWS_HOST, ALIBABA_CLOUD_HOST, VOLCENGINE_HOST];
  const tls = await authority.issueServer({ commonName: AWS_HOST }, { ips: [], dns });
  const environment = { clock: systemClock, random: systemRandom };
  const common = { issuer, fetchJSON: fetchJSONOver(issuerCAPEM) };
  const aws = new AWSSecurityTokenService(common, environment);
  const alibabaCloud = new AlibabaCloudSecurityTokenService(
    { ...common, providerName: ALIBABA_CLOUD_PROVIDER },
    environment,
  );
  const volcengine = new VolcengineSecurityTokenService({ ...common, providerName: VOLCENGINE_PROVIDER }, environment);
  const seaweedFS =
    awsRoles.length === 0 ? undefined : await startSeaweedFS({ issuer, caPEM: issuerCAPEM, roles: awsRoles });
  const listeners: Listener[] = [];
  const ports: Record<string, number> = {};
  const serve = async (host: string, handler: (request: ServerRequest) => Promise<ServerOutcome>): Promise<void> => {
    const listener = await listen({ handler, tls });
    listeners.push(listener);
    ports[`${host}:${HTTPS_PORT}`] = Number(listener.url.port);
  };
  await serve(AWS_HOST, seaweedFS === undefined ? aws.handle : passTo(seaweedFS.url));
  await serve(ALIBABA_CLOUD_HOST, alibabaCloud.handle);
  await serve(VOLCENGINE_HOST, volcengine.handle);
  const proxy = await startConnectProxy({ ports });
  const authorityFile = join(directory, 'reader-clouds.crt');
  writeFileSync(authorityFile, authority.certificatePEM);
  return {
    aws,
    alibabaCloud,
    volcengine,
    seaweedFS,
    operatorArguments: [`--https-proxy=${proxy.url.origin}`, `--sts-extra-ca-file=${authorityFile}`],
    targets: () => proxy.connects.map(({ target }) => target),
    stop: async () => {
      await proxy.close();
      await Promise.all(listeners.map((listener) => listener.close()));
      await seaweedFS?.stop();
    },
  };
}
