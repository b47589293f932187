/** The front door of `npm run bench`: against other programs, or with `--stages` the stages inside kith (docs/bench.md). */
await (process.argv.includes('--stages') ? import('./stages.ts') : import('./against.ts'));
