// Promises: ends with status 1 and one sentence when the running Node is too old for this project, before an import can
// fail with something less readable. It is plain JavaScript without imports, so that any Node can read it.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 20)) {
  process.stderr.write(
    `This needs Node 22.20 or newer, and ${process.version} is running. "npm ci" installs Node 24 under node_modules/.bin, ` +
      'which every npm script uses: run "npm ci" and then the npm script again (not the file itself).\n',
  );
  process.exit(1);
}
