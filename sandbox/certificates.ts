// Promises: a certificate authority for one bed, and certificates signed by it, without openssl. Keys live in memory and
// in the bed's directory only, and every certificate ends after a day. Not for anything but tests.
import './reflect-metadata.ts';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import type { Extension, JsonName } from '@peculiar/x509';

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING_ALGORITHM = { name: 'ECDSA', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** A certificate and its key, both PEM (the key as PKCS #8). */
export interface KeyPair {
  readonly certificatePEM: string;
  readonly privateKeyPEM: string;
}

/** Whom a certificate names. Kubernetes reads the user from commonName and the groups from organizations. */
export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

/** A certificate authority. */
export interface Authority {
  readonly certificatePEM: string;
  readonly privateKeyPEM: string;
  /** A serving certificate that is valid for these IP addresses and DNS names. */
  issueServer(subject: Subject, names: { ips: readonly string[]; dns: readonly string[] }): Promise<KeyPair>;
  /** A client certificate. */
  issueClient(subject: Subject): Promise<KeyPair>;
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

async function privateKeyPEM(key: webcrypto.CryptoKey): Promise<string> {
  return pem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', key));
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']);
}

function distinguishedName(subject: Subject): JsonName {
  return [{ CN: [subject.commonName] }, ...(subject.organizations ?? []).map((name) => ({ O: [name] }))];
}

/** A day of validity, from an hour ago: a bed may run under faketime. */
function validity(): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + DAY_MS) };
}

/** Makes a self-signed authority. */
export async function createAuthority(commonName: string): Promise<Authority> {
  const keys = await generateKeys();
  const own = await X509CertificateGenerator.createSelfSigned({
    name: distinguishedName({ commonName }),
    keys,
    ...validity(),
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign | KeyUsageFlags.digitalSignature, true),
    ],
  });
  const issue = async (subject: Subject, extensions: Extension[]): Promise<KeyPair> => {
    const leafKeys = await generateKeys();
    const leaf = await X509CertificateGenerator.create({
      subject: distinguishedName(subject),
      issuer: own.subjectName,
      publicKey: leafKeys.publicKey,
      signingKey: keys.privateKey,
      ...validity(),
      signingAlgorithm: SIGNING_ALGORITHM,
      extensions: [new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true), ...extensions],
    });
    return { certificatePEM: `${leaf.toString('pem')}\n`, privateKeyPEM: await privateKeyPEM(leafKeys.privateKey) };
  };
  return {
    certificatePEM: `${own.toString('pem')}\n`,
    privateKeyPEM: await privateKeyPEM(keys.privateKey),
    issueServer: (subject, { ips, dns }) =>
      issue(subject, [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension([
          ...ips.map((value) => ({ type: 'ip' as const, value })),
          ...dns.map((value) => ({ type: 'dns' as const, value })),
        ]),
      ]),
    issueClient: (subject) => issue(subject, [new ExtendedKeyUsageExtension([ExtendedKeyUsage.clientAuth])]),
  };
}
