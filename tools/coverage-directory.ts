// Promises: the variable by which `npm test` is told where to leave what lines it has run, for `npm run test:coverage` to read:
// a run of all checks does not run the tests twice.

/** A directory, empty before the tests. */
export const COVERAGE_DIRECTORY = 'COVERAGE_DIRECTORY';
/** The one file in it. */
export const COVERAGE_REPORT = 'lcov.info';
