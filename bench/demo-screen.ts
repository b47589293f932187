import { columnsOf, shown } from '../cli/words.ts';

/** Lines are broken at this many columns, on wider terminals too: they read better. */
const columnsMax = 80;

/** A live line is drawn at most this often. */
const drawEveryMs = 100;

const barColumns = 40;

const styles = { bold: 1, dim: 2, red: 31, green: 32, cyan: 36 } as const;

/** What the demo says, in colour where stdout is a terminal that wants it. Texts go through `shown`: names drive nothing. */
export class Screen {
  readonly #colour: boolean;
  readonly #live: boolean;
  readonly #columns: number;
  #drawnMs = 0;
  #drawn = false;
  #chapter = 0;

  constructor() {
    const { isTTY, columns } = process.stdout;
    const dumb = process.env['TERM'] === 'dumb';
    this.#colour = isTTY && !dumb && (process.env['NO_COLOR'] ?? '') === '';
    this.#live = process.stderr.isTTY && !dumb;
    this.#columns = Math.min(columnsMax, isTTY && columns > 20 ? columns : columnsMax);
  }

  #paint(text: string, style: keyof typeof styles): string {
    return this.#colour ? `\x1b[${styles[style]}m${text}\x1b[0m` : text;
  }

  #print(text: string): void {
    this.clear();
    process.stdout.write(`${text}\n`);
  }

  /** An empty line. */
  gap(): void {
    this.#print('');
  }

  title(text: string): void {
    this.#print(this.#paint(shown(text), 'bold'));
  }

  /** A numbered heading. */
  chapter(text: string): void {
    this.#chapter++;
    this.#print('');
    this.#print(this.#paint(`${this.#chapter}  ${shown(text)}`, 'bold'));
  }

  /** A paragraph, broken into lines. */
  say(text: string, indent = 3): void {
    for (const line of wrapped(shown(text), this.#columns - indent)) {
      this.#print(' '.repeat(indent) + line);
    }
  }

  /** What kith itself said. */
  quote(text: string): void {
    for (const line of wrapped(shown(text), this.#columns - 5)) {
      this.#print(`   ${this.#paint('│', 'dim')} ${line}`);
    }
  }

  /** A command as one would type it. */
  command(text: string): void {
    this.#print(`   ${this.#paint('$', 'dim')} ${this.#paint(shown(text), 'cyan')}`);
  }

  /** Something that was looked at, and how it was. */
  mark(good: boolean, text: string): void {
    const [first = '', ...rest] = wrapped(shown(text), this.#columns - 5);
    this.#print(`   ${good ? this.#paint('✓', 'green') : this.#paint('✗', 'red')} ${first}`);
    for (const line of rest) this.#print(`     ${line}`);
  }

  /** Rows with columns aligned: the first to the left, the others to the right. */
  rows(rows: readonly (readonly string[])[]): void {
    const width = (column: number): number => Math.max(...rows.map((row) => columnsOf(row[column] ?? '')));
    for (const row of rows) {
      const cells = row.map((cell, column) => {
        const space = ' '.repeat(width(column) - columnsOf(cell));
        return column === 0 ? cell + space : space + cell;
      });
      this.#print(`   ${cells.join('   ')}`.trimEnd());
    }
  }

  /** Sizes as bars; `colour` is a number of the 256-colour table, `share` of the longest bar 0 … 1. */
  bars(rows: readonly { name: string; size: string; share: number; colour: number }[]): void {
    const name = Math.max(...rows.map((row) => row.name.length));
    const size = Math.max(...rows.map((row) => row.size.length));
    for (const row of rows) {
      const bar = '█'.repeat(Math.round(row.share * barColumns));
      const painted = this.#colour ? `\x1b[38;5;${row.colour}m${bar}\x1b[0m` : bar;
      this.#print(`   ${row.name.padEnd(name)}   ${row.size.padStart(size)}   ${painted}`);
    }
  }

  /** A line that the next one replaces; nothing where stderr is no terminal. */
  live(text: string): void {
    if (!this.#live || performance.now() - this.#drawnMs < drawEveryMs) return;
    this.#drawnMs = performance.now();
    process.stderr.write(`\r   ${shown(text)}\x1b[K`);
    this.#drawn = true;
  }

  clear(): void {
    if (!this.#drawn) return;
    this.#drawn = false;
    process.stderr.write('\r\x1b[K');
  }
}

/** A text in lines of at most so many columns; a word that is longer has a line of its own. */
export function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && columnsOf(line) + 1 + columnsOf(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
