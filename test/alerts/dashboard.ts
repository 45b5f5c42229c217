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

/** What is used of a dashboard. */
export interface Dashboard {
  readonly title: string;
  readonly uid: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly { readonly name: string }[] };
  readonly panels: readonly Panel[];
}

/** The dashboard. */
export function readDashboard(): Dashboard {
  return JSON.parse(readFileSync(DASHBOARD, 'utf8')) as Dashboard;
}

/** An expression as Grafana sends it, with all of each variable chosen. */
export function filledIn(expression: string, rateInterval: string): string {
  return expression
    .replaceAll('$namespace', '.*')
    .replaceAll('$job', '.*')
    .replaceAll('$__rate_interval', rateInterval);
}
