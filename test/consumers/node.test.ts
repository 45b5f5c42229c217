// Promises: the consumers that need nothing but Node, as a part of `npm test`. The others are `npm run test:consumers`.
process.env['CONSUMERS'] = 'node';
await import('./consumers.test.ts');
