// Promises: the CustomResourceDefinitions of the Prometheus operator as it ships them, from its own sources in the version that
// test/tools/prometheus-operator pins, so that it is not our reading of its API that judges what the chart renders.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { goSource } from '../beds/go-source.ts';

const FOLDER = 'example/prometheus-operator-crd';
const PLURALS = ['servicemonitors', 'podmonitors', 'prometheusrules'];

/** To be applied. @throws MissingToolError without Go. */
export async function monitoringCRDs(): Promise<object[]> {
  const source = await goSource('prometheus-operator', 'github.com/prometheus-operator/prometheus-operator');
  return PLURALS.map(
    (plural) => load(readFileSync(join(source, FOLDER, `monitoring.coreos.com_${plural}.yaml`), 'utf8')) as object,
  );
}
