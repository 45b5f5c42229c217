// Promises: the names that the benchmark's processes share.
export const AUDIENCE = 'sts.sandbox.example';
export const SCRIPT_NAMESPACE = 'script';
export const OPERATOR_NAMESPACE = 'operator';
export const SERVICE_ACCOUNT = 'orders';
export const ROLE_ARN = 'arn:aws:iam::123456789012:role/orders';
export const API_ROOT = '/apis/workloadcredentials.io/v1alpha1';
