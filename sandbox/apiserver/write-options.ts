// Promises: the query parameters that all writes take, judged as the real server does, and the Warning headers of the answer.
import type { ServerRequest, ServerResponse } from '../http.ts';
import { duplicateFields, wholeFloats } from './body.ts';
import type { DecodeOptions, FieldValidation } from './custom-resource.ts';
import type { Target } from './registry.ts';
import * as errors from './status.ts';
import type { StatusCause } from './status.ts';

const FIELD_VALIDATIONS = ['', 'Ignore', 'Strict', 'Warn'];
const OPTIONS_KINDS: Readonly<Record<string, string>> = {
  POST: 'CreateOptions',
  PUT: 'UpdateOptions',
  PATCH: 'PatchOptions',
};

export function text(request: ServerRequest): string {
  return Buffer.from(request.body).toString('utf8');
}

/** @throws StatusError 422 */
export function writeOptions(
  request: ServerRequest,
  query: URLSearchParams,
): Pick<Target, 'dryRun' | keyof DecodeOptions> {
  const causes: StatusCause[] = [];
  const dryRun = query.getAll('dryRun').filter((value) => value !== '');
  if (dryRun.some((value) => value !== 'All')) {
    const message = `Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`;
    causes.push(errors.fieldError('dryRun', 'FieldValueNotSupported', message));
  }
  const fieldValidation = query.get('fieldValidation') ?? '';
  if (!FIELD_VALIDATIONS.includes(fieldValidation)) {
    const supported = FIELD_VALIDATIONS.map((value) => JSON.stringify(value)).join(', ');
    const message = `Unsupported value: ${JSON.stringify(fieldValidation)}: supported values: ${supported}`;
    causes.push(errors.fieldError('fieldValidation', 'FieldValueNotSupported', message));
  }
  const kind = OPTIONS_KINDS[request.method];
  if (causes.length > 0 && kind !== undefined)
    throw errors.invalid({ group: 'meta.k8s.io', plural: '', kind }, '', causes);
  // Warn is the default since 1.27.
  const wanted = fieldValidation === '' ? 'Warn' : (fieldValidation as FieldValidation);
  // A duplicate costs a scan of the body; a patch cannot be scanned this way.
  const isWhole = request.method === 'POST' || request.method === 'PUT';
  const duplicates = isWhole && wanted !== 'Ignore' ? duplicateFields(text(request)) : [];
  const floats = isWhole ? wholeFloats(text(request)) : new Map<string, string>();
  return { dryRun: dryRun.length > 0, fieldValidation: wanted, warnings: [], duplicates, floats };
}

/** Warnings as RFC 7234 headers, which kubectl prints. */
export function warned(response: ServerResponse, { warnings = [] }: DecodeOptions): ServerResponse {
  if (warnings.length === 0) return response;
  const warning = warnings.map((each) => `299 - ${JSON.stringify(each)}`).join(', ');
  return { ...response, headers: { ...response.headers, warning } };
}
