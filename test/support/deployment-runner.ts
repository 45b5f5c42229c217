// Promises: what a node would do for the operator's Deployment, with processes for containers: starts the built program with
// the Deployment's own arguments and a token of its ServiceAccount, anew when either changes or when it ended because it lost
// its Lease, and ends it when there is no Deployment or it is scaled to nothing. So a test can install, upgrade, scale and
// uninstall by commands alone. One that has worked and ends for any other reason is not started again: the test is to fail.
// One that ends before it works is tried again, as a kubelet would, since what it needs may only just be being made.
import { setTimeout as sleep } from 'node:timers/promises';
import type { KubernetesBed } from '../beds/kubernetes.ts';
import { describeEnd, startOperator } from '../beds/operator.ts';
import type { OperatorOptions, OperatorProcess } from '../beds/operator.ts';
import type { Exit } from '../beds/processes.ts';
import { AbortedWait, waitFor } from '../beds/wait.ts';
import type { ClusterClient } from './cluster-client.ts';

const LISTEN_FLAG = '--listen-address=';
const LOOK_EVERY_MS = 200;
/** A loaded machine needs some of it. */
const SETTLE_MS = 90_000;
/** An API server that is away for longer than 10 s costs the operator its Lease, and it says so before it ends. */
const LOST_LEASE_CODE = 1;
const LOST_LEASE_MESSAGE = 'the Lease was lost, another replica may work: this one ends';

interface Deployment {
  readonly spec: {
    readonly replicas?: number;
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly { readonly args?: readonly string[] }[];
      };
    };
  };
}

interface Wanted {
  readonly account: string;
  readonly args: readonly string[];
  /** Of the ServiceAccount: with another one every token is worthless. */
  readonly accountUID: string;
}

interface Running {
  readonly key: string;
  readonly operator: OperatorProcess;
  readonly token: string;
  /** Set when it has ended by itself. */
  exit: Exit | undefined;
}

/** How to run. */
export interface DeploymentRunnerOptions {
  readonly kubernetes: Pick<KubernetesBed, 'serviceAccountKubeconfig'>;
  readonly client: Pick<ClusterClient, 'get'>;
  /** Where the one Deployment is. */
  readonly namespace: string;
  /** In the place of those of the same name, and behind the others of the Deployment: what the bed needs. */
  readonly furtherArguments: readonly string[];
  /** Default: startOperator. */
  readonly start?: (options: OperatorOptions) => Promise<OperatorProcess>;
}

/** A node with room for one Deployment. */
export class DeploymentRunner {
  /** All that ever ran, the present one last. */
  readonly operators: OperatorProcess[] = [];
  readonly #options: DeploymentRunnerOptions;
  #running: Running | undefined;
  #stopping = false;
  #failure: unknown;
  readonly #loop: Promise<void>;

  constructor(options: DeploymentRunnerOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /** The operator's own bearer token. */
  get token(): string | undefined {
    return this.#running?.token;
  }

  /**
   * Waits until what runs is what the Deployment says; undefined when nothing is to run.
   * @throws Error when that does not come, at once when the operator has ended for another reason than a lost Lease.
   */
  async settled(): Promise<OperatorProcess | undefined> {
    try {
      return await waitFor(
        'the operator to be what its Deployment says',
        async () => {
          const key = keyOf(await this.#wanted());
          if (key !== (this.#running?.key ?? '')) return undefined;
          if (this.#running?.exit !== undefined) {
            assertLostLease(this.#running.operator, this.#running.exit);
            return undefined;
          }
          return { operator: this.#running?.operator };
        },
        { timeoutMs: SETTLE_MS, everyMs: LOOK_EVERY_MS },
      ).then(({ operator }) => operator);
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${String(this.#failure)}`, { cause: error });
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#loop;
    await Promise.all(this.operators.map(async (operator) => await operator.kill()));
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#look();
        this.#failure = undefined;
      } catch (error) {
        this.#failure = error;
      }
      await sleep(LOOK_EVERY_MS);
    }
  }

  async #look(): Promise<void> {
    const wanted = await this.#wanted();
    // Without its ServiceAccount no pod is started, and one that runs goes on.
    if (wanted?.accountUID === '') return;
    if (keyOf(wanted) === (this.#running?.key ?? '')) {
      if (this.#running?.exit === undefined) return;
      assertLostLease(this.#running.operator, this.#running.exit);
    }
    await this.#end();
    if (wanted !== undefined) await this.#begin(wanted);
  }

  async #begin(wanted: Wanted): Promise<void> {
    const { kubernetes, namespace, furtherArguments, start = startOperator } = this.#options;
    const { file, token } = await kubernetes.serviceAccountKubeconfig(namespace, wanted.account);
    const operator = await start({ kubeconfig: file, args: [...wanted.args, ...furtherArguments] });
    this.operators.push(operator);
    try {
      await operator.waitUntilReady();
      // One that was killed, or lost its token or its Lease, leaves the Lease behind for 15 s and more.
      await operator.waitForLog('this replica works', SETTLE_MS);
    } catch (error) {
      // The next one would wait for its Lease.
      await operator.kill();
      throw error;
    }
    const running: Running = { key: keyOf(wanted), operator, token, exit: undefined };
    this.#running = running;
    void operator.exited.then((exit) => {
      running.exit = exit;
    });
  }

  async #end(): Promise<void> {
    if (this.#running === undefined) return;
    const { operator } = this.#running;
    this.#running = undefined;
    operator.signal('SIGTERM');
    await operator.exited;
  }

  async #wanted(): Promise<Wanted | undefined> {
    const { client, namespace } = this.#options;
    const list = await client.get<{ items: Deployment[] }>(`/apis/apps/v1/namespaces/${namespace}/deployments`);
    const [deployment] = list?.items ?? [];
    if (deployment === undefined || deployment.spec.replicas === 0) return undefined;
    const { serviceAccountName: account, containers } = deployment.spec.template.spec;
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}`;
    const found = await client.get<{ metadata: { uid: string } }>(path);
    const replaced = [LISTEN_FLAG, ...this.#options.furtherArguments.map((argument) => `${argument.split('=')[0]}=`)];
    const isKept = (argument: string): boolean => !replaced.some((flag) => argument.startsWith(flag));
    const args = (containers[0]?.args ?? []).filter(isKept);
    return { account, args, accountUID: found?.metadata.uid ?? '' };
  }
}

/** @throws AbortedWait with its last lines when it has ended for any other reason. */
function assertLostLease({ lines }: OperatorProcess, exit: Exit): void {
  const said = lines.some(({ fields }) => fields?.['message'] === LOST_LEASE_MESSAGE);
  if (exit.code === LOST_LEASE_CODE && said) return;
  throw new AbortedWait(describeEnd(exit, lines));
}

function keyOf(wanted: Wanted | undefined): string {
  return wanted === undefined ? '' : JSON.stringify(wanted);
}
