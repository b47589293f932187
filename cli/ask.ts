import { createInterface } from 'node:readline/promises';

/** True while somebody sits at a terminal and can be asked. */
export function canAsk(): boolean {
  return process.stdin.isTTY && process.stderr.isTTY;
}

/** What is typed on the terminal, without its line end; undefined where it is closed (Ctrl-D). Rejects when the signal fires. */
export async function askLine(question: string, signal: AbortSignal): Promise<string | undefined> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  // The terminal hands Ctrl-C over as a key meanwhile.
  lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  const closed = new Promise<undefined>((resolve) => lines.once('close', () => resolve(undefined)));
  try {
    return await Promise.race([lines.question(question, { signal }), closed]);
  } finally {
    lines.close();
  }
}

/** Asks a question on the terminal; true for an answer that begins with y. Rejects when the signal fires. */
export async function askYesOrNo(question: string, signal: AbortSignal): Promise<boolean> {
  return /^\s*y/i.test((await askLine(`${question} [y/N] `, signal)) ?? '');
}

/**
 * Has one of some lines chosen by its number; an empty answer is the last. What is no number is asked again. The index, or undefined where
 * the terminal is closed. Rejects when the signal fires.
 */
export async function askChoice(lines: readonly string[], signal: AbortSignal): Promise<number | undefined> {
  const numbered = lines.map((line, index) => `  ${index + 1}  ${line}\n`).join('');
  let question = `${numbered}Your choice [${lines.length}]: `;
  for (;;) {
    const answer = (await askLine(question, signal))?.trim();
    if (answer === undefined) return undefined;
    if (answer === '') return lines.length - 1;
    const number = /^\d{1,3}$/.test(answer) ? Number(answer) : 0;
    if (number >= 1 && number <= lines.length) return number - 1;
    question = `A number from 1 to ${lines.length} [${lines.length}]: `;
  }
}
