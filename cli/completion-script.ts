import { globalOptions } from './command.ts';
import { secondWords, topWords } from './command-words.ts';
import { commandGroups } from './command-groups.ts';
import { allCommands } from './commands/index.ts';
import type { Command, OptionSpecs } from './command.ts';

function optionWords(specs: OptionSpecs): string[] {
  return Object.entries(specs).flatMap(([name, { alias }]) => [
    `--${name}`,
    ...(alias === undefined ? [] : [alias.length === 1 ? `-${alias}` : `--${alias}`]),
  ]);
}

/** Options after which the next word is their value. */
function valuedOptions(): string[] {
  const all = [globalOptions, ...allCommands.map((command) => command.options)];
  const specs = all.flatMap((options) => Object.entries(options));
  const valued = specs.filter(([, spec]) => spec.type !== 'flag');
  return [...new Set(valued.flatMap(([name, spec]) => optionWords({ [name]: spec })))];
}

/** A command's name under every spelling of its group: `drive add`, `disk add`. */
function spellings(command: Command): string[] {
  const [first, second] = command.name.split(' ');
  const group = commandGroups.find((g) => g.name === first);
  if (group === undefined || second === undefined) return [command.name];
  return [group.name, ...group.aliases].map((name) => `${name} ${second}`);
}

function bashScript(): string {
  const cases = [
    `    "") words="${topWords().join(' ')}" ;;`,
    ...commandGroups.map((group) => {
      const names = [group.name, ...group.aliases].map((name) => `"${name}"`).join('|');
      return `    ${names}) words="${secondWords(group.name).join(' ')}" ;;`;
    }),
  ];
  const options = allCommands.map((command) => {
    const names = spellings(command)
      .map((name) => `"${name}"*`)
      .join('|');
    return `    ${names}) options="$options ${optionWords(command.options).join(' ')}" ;;`;
  });
  return `# kith completion for bash and zsh
if [ -n "$ZSH_VERSION" ]; then autoload -U +X bashcompinit && bashcompinit; fi
_kith() {
  local word current="\${COMP_WORDS[COMP_CWORD]}" line="" words="" options="${optionWords(globalOptions).join(' ')}"
  local index=1 skip=0
  while [ "$index" -lt "$COMP_CWORD" ]; do
    word="\${COMP_WORDS[$index]}"
    index=$((index + 1))
    if [ "$skip" = 1 ]; then skip=0; continue; fi
    case "$word" in
      ${valuedOptions().join('|')}) skip=1 ;;
      -*) ;;
      *) line="\${line:+$line }$word" ;;
    esac
  done
  COMPREPLY=()
  if [ "$skip" = 1 ]; then return; fi
  case "$line" in
${cases.join('\n')}
  esac
  case "$line" in
${options.join('\n')}
  esac
  case "$current" in
    -*) COMPREPLY=( $(compgen -W "$options" -- "$current") ) ;;
    *) COMPREPLY=( $(compgen -W "$words" -- "$current") ) ;;
  esac
}
complete -o default -F _kith kith`;
}

function fishQuote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

function fishOptions(condition: string, specs: OptionSpecs): string[] {
  return Object.entries(specs).map(([name, spec]) => {
    const short = spec.alias?.length === 1 ? ` -s ${spec.alias}` : '';
    const value = spec.type === 'flag' ? '' : ' -r';
    return `complete -c kith${condition} -l ${name}${short}${value} -d ${fishQuote(spec.describe)}`;
  });
}

function fishScript(): string {
  const lines = ['# kith completion for fish', ...fishOptions('', globalOptions)];
  for (const command of allCommands) {
    const [first = '', second] = command.name.split(' ');
    const group = commandGroups.find((g) => g.name === first);
    const firsts = [first, ...(group?.aliases ?? [])].join(' ');
    const seen = `__fish_seen_subcommand_from ${firsts}`;
    const offered = second ?? first;
    const offer = second === undefined ? '__fish_use_subcommand' : seen;
    lines.push(`complete -c kith -n ${fishQuote(offer)} -a ${offered} -d ${fishQuote(command.describe)}`);
    const within = second === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${second}`;
    lines.push(...fishOptions(` -n ${fishQuote(within)}`, command.options));
  }
  for (const group of commandGroups) {
    for (const name of [group.name, ...group.aliases]) {
      lines.push(`complete -c kith -n '__fish_use_subcommand' -a ${name} -d ${fishQuote(group.describe)}`);
    }
  }
  return lines.join('\n');
}

/** A script that, read by the shell, completes commands and options; file names stay with the shell. */
export function completionScript(shell: 'bash' | 'zsh' | 'fish'): string {
  return shell === 'fish' ? fishScript() : bashScript();
}
