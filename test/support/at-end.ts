/**
 * Has work done when the test ends, what was asked for last first: what was made upon something is closed before that goes, and a folder is
 * removed when nobody writes in it any longer. Node's own `after` goes the other way round, and ends at the first error; here all is done, and
 * the first error told then.
 */
export function atEnd(test: { after(work: () => Promise<void>): void }, work: () => unknown): void {
  const known = endings.get(test);
  if (known !== undefined) {
    known.push(work);
    return;
  }
  const works = [work];
  endings.set(test, works);
  test.after(async () => {
    const errors: unknown[] = [];
    for (let next = works.pop(); next !== undefined; next = works.pop()) {
      try {
        await next();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  });
}

const endings = new WeakMap<object, (() => unknown)[]>();
