// Promises: the version of this program, the same as package.json's (a test compares them). May not import anything.

export const VERSION = '0.1.0';
