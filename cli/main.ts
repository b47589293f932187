#!/usr/bin/env node
import { systemClock } from '../lib/base/clock.ts';
import { makeContext } from './context.ts';
import { listenForInterrupt } from './interrupt.ts';
import { Output } from './output.ts';
import { kithVersion } from './version.ts';
import type { ParsedLine } from './parse.ts';

const interruptedWords = 'interrupted; run the same command again to go on';

function makeOutput(json: boolean, quiet: boolean, verbose: boolean): Output {
  return new Output({ json, quiet, verbose, stdout: process.stdout, stderr: process.stderr });
}

/** Help and version are answered before anything is parsed: quickly, and whatever else is on the line. */
async function answeredAtOnce(options: readonly string[]): Promise<boolean> {
  if (options.length === 0 || options.includes('--help') || options.includes('-h')) {
    const { helpFor } = await import('./help.ts');
    makeOutput(false, false, false).print(helpFor(options));
    return true;
  }
  if (!options.includes('--version')) return false;
  const output = makeOutput(options.includes('--json'), false, false);
  output.document({ version: kithVersion() });
  output.print(kithVersion());
  return true;
}

async function runCommand({ command, args }: ParsedLine, output: Output): Promise<number> {
  const interrupt = listenForInterrupt(
    () => {
      if (command.onInterrupt === 'exit') output.exitError(130, interruptedWords);
      else output.note('Stopping … (again: stop at once)');
      return command.onInterrupt;
    },
    () => systemClock.monotonicMs(),
  );
  try {
    const context = await makeContext(args, output, interrupt.signal);
    const outcome = await command.run(context, args);
    if (outcome === undefined) return 0;
    output.exitError(outcome.exit, outcome.message);
    return outcome.exit;
  } catch (error) {
    return output.failure(error, interrupt.signal.aborted, command.name);
  } finally {
    interrupt.dispose();
  }
}

async function main(argv: readonly string[]): Promise<number> {
  const end = argv.indexOf('--');
  const options = end < 0 ? argv : argv.slice(0, end);
  if (await answeredAtOnce(options)) return 0;
  let parsed: ParsedLine;
  try {
    const { parseLine } = await import('./parse.ts');
    parsed = await parseLine(argv);
  } catch (error) {
    return makeOutput(options.includes('--json'), false, false).failure(error, false);
  }
  const { command, args } = parsed;
  const output = makeOutput(args.flag('json'), args.flag('quiet'), args.flag('verbose'));
  if (args.flag('help')) {
    const { commandHelp } = await import('./help.ts');
    output.print(commandHelp(command));
    return 0;
  }
  return runCommand(parsed, output);
}

/** Waits until what was written has left the process, so that exit cuts nothing off. */
async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  await new Promise<void>((resolve) => {
    stream.write('', () => {
      resolve();
    });
  });
}

// Not awaited here: a bundle of CommonJS (docs/decisions/0030) has no top-level await.
void main(process.argv.slice(2)).then(async (exitCode) => {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(exitCode);
});
