import { plainKernels } from '../../lib/kernels/kernels.ts';
import { describeChunker } from '../support/chunker-checks.ts';

// kernels-wasm.test.ts holds the others against this one; all of this on them: test/long/kernel-versions.test.ts.
describeChunker('plain', plainKernels);
