// Promises: the chart's dashboard as data: its panels and their queries, with Grafana's variables put in. Reads one file.
import { readFileSync } from 'node:fs';

/** Where it is. */
export const DASHBOARD = new URL('../../helm/files/dashboard.json', import.meta.url);

/** One query of a panel. */
export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly legendFormat: string;
}

/** What is used of a panel. https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/ */
export interface Panel {
  readonly id: number;
  readonly type: 'row' | 'stat' | 'table' | 'timeseries';
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly Target[];
  readonly fieldConfig?: {
    readonly defaults: { readonly unit?: string; readonly min?: number | null; readonly max?: number | null };
  };
}

/** A choice at the top of a dashboard; one of type `query` asks for what there is to choose from. */
export interface Variable {
  readonly name: string;
  readonly type: 'datasource' | 'query';
  readonly allValue?: string;
  readonly definition?: string;
  readonly query: string | { readonly query: string };
}

/** What is used of a dashboard. */
export interface Dashboard {
  readonly title: string;
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly Variable[] };
  readonly panels: readonly Panel[];
}

/** The dashboard. */
export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard;
}

/** What is put in for variables: regular expressions for the first two, `.*` for all, and a duration. */
export interface Choice {
  readonly namespace: string;
  readonly job: string;
  readonly rateInterval: string;
}

/** An expression as Grafana sends it. */
export function filledIn(expression: string, { namespace, job, rateInterval }: Choice): string {
  return expression
    .replaceAll('$namespace', namespace)
    .replaceAll('$job', job)
    .replaceAll('$__rate_interval', rateInterval);
}

/** What a variable asks for: the values of a label in the series of a selector. */
export interface VariableQuery {
  readonly name: 'namespace' | 'job';
  readonly selector: string;
  readonly label: string;
}

/** The queries of the variables. @throws Error for a form that is not `label_values(SELECTOR, LABEL)`. */
export function variableQueries({ templating }: Dashboard): VariableQuery[] {
  return templating.list.flatMap(({ name, type, query }) => {
    if (type !== 'query') return [];
    const text = typeof query === 'string' ? query : query.query;
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(text) ?? [];
    if (selector === undefined || label === undefined || (name !== 'namespace' && name !== 'job'))
      throw new Error(`the variable ${name} asks ${text}`);
    return [{ name, selector, label }];
  });
}
