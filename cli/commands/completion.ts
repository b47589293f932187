import { KithError } from '../../lib/base/errors.ts';
import type { Args } from '../args.ts';
import type { Command, Outcome } from '../command.ts';
import type { Context } from '../context.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

async function run(context: Context, args: Args): Promise<Outcome | undefined> {
  const given = args.text('shell') ?? (process.env['SHELL'] ?? '').split('/').at(-1);
  const shell =
    shells.find((name) => name === given) ?? (args.text('shell') === undefined ? 'bash' : undefined);
  if (shell === undefined) {
    throw new KithError('usage', `shells are ${shells.join(', ')}; not "${given}".`, {
      details: { command: 'completion' },
    });
  }
  // Loaded here because the script lists all commands, this one among them.
  const { completionScript } = await import('../completion-script.ts');
  const script = completionScript(shell);
  context.output.document({ shell, script });
  context.output.print(script);
  return undefined;
}

export const completionCommand: Command = {
  name: 'completion',
  describe: 'Print a script that completes kith commands in your shell',
  positionals: [{ name: 'shell', required: false, describe: 'bash, zsh or fish (default: your shell)' }],
  options: {},
  examples: [
    ['source <(kith completion bash)', 'now, or from ~/.bashrc'],
    ['kith completion fish > ~/.config/fish/completions/kith.fish', 'for fish'],
  ],
  onInterrupt: 'exit',
  run,
};
