/** Letters to insert, drop, replace or swap with a neighbour to make one word of the other. */
export function typingDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      let best = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      best = Math.min(best, (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (before[j - 2] ?? 0) + 1);
      }
      next[j] = best;
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The known word that was probably meant, or undefined where none is near. */
export function nearestWord(word: string, known: readonly string[]): string | undefined {
  // Longer input could only be a paste, and the distance costs length × length.
  if (word.length > 64) return undefined;
  let nearest: string | undefined;
  // A third of the letters may be slips; with more of them wrong it is another word.
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const prefix = word.length >= 3 && candidate.startsWith(word);
    const distance = prefix ? 0.5 : typingDistance(word.toLowerCase(), candidate);
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

/** ` Did you mean kith backup?`, or nothing where no known word is near. */
export function didYouMean(
  word: string,
  known: readonly string[],
  show: (near: string) => string = (near) => near,
): string {
  const near = nearestWord(word, known);
  return near === undefined ? '' : ` Did you mean ${show(near)}?`;
}
