// Promises: kubeconfig files as text, complete and without references to other files. JSON is YAML, and needs no quoting.

/** How a client of the API server proves who it is. */
export type KubeUser = { readonly token: string } | { readonly certificatePEM: string; readonly privateKeyPEM: string };

/** What a kubeconfig says. */
export interface KubeconfigOptions {
  readonly server: string;
  readonly caPEM: string;
  readonly user: KubeUser;
  /** Default `default`. */
  readonly namespace?: string;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** A kubeconfig with one cluster, one user and one context, named `bed`. */
export function kubeconfigText({ server, caPEM, user, namespace = 'default' }: KubeconfigOptions): string {
  const credentials =
    'token' in user
      ? { token: user.token }
      : {
          'client-certificate-data': base64(user.certificatePEM),
          'client-key-data': base64(user.privateKeyPEM),
        };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bed', cluster: { server, 'certificate-authority-data': base64(caPEM) } }],
    users: [{ name: 'bed', user: credentials }],
    contexts: [{ name: 'bed', context: { cluster: 'bed', user: 'bed', namespace } }],
    'current-context': 'bed',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
