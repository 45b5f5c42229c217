// Promises: Debian's packages that a real node and its images need, unpacked into the cache.
import { ensureDebianPackages } from './debian.ts';

const PROGRAMS = [
  'buildah',
  'busybox-static',
  'containerd',
  'containernetworking-plugins',
  'debootstrap',
  'dnsmasq-base',
  'nftables',
  'runc',
];
/** Libraries and settings of theirs that a small Debian may lack. */
const NEEDED_BY_THEM = [
  'golang-github-containers-common',
  'golang-github-containers-image',
  'libassuan0',
  'libdbus-1-3',
  'libdevmapper1.02.1',
  'libedit2',
  'libgmp10',
  'libgpg-error0',
  'libgpgme11',
  'libhogweed6',
  'libidn2-0',
  'libjansson4',
  'libmnl0',
  'libnetfilter-conntrack3',
  'libnettle8',
  'libnfnetlink0',
  'libnftables1',
  'libnftnl11',
  'libseccomp2',
  'libunistring2',
  'libxtables12',
];

/** The directory that stands for `/`. @throws MissingToolError */
export async function ensureNodePackages(): Promise<string> {
  return await ensureDebianPackages({
    name: 'node-packages',
    packages: [...PROGRAMS, ...NEEDED_BY_THEM],
    purpose: 'apt-get to fetch containerd, runc and buildah with',
    cure: 'run "npm run test:node" on Debian 12 or a child of it, with apt-get and its package sources within reach',
  });
}
