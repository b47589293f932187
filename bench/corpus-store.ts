import { execFile } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemCode } from '../lib/base/errors.ts';
import { recipeOf, unpacked, type CorpusName, type Recipe } from './corpora-made.ts';
import { surveyFolder } from './survey.ts';

/** A folder of files to be backed up. Only copies of it are changed. */
export interface Corpus {
  readonly name: CorpusName;
  readonly origin: string;
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
}

/** Where corpora come from. */
export interface CorpusPlan {
  readonly name: CorpusName;
  readonly quick: boolean;
  /** Folder that keeps corpora, by name. */
  readonly folder: string;
  /** A folder or tar archive of texts in place of our own. */
  readonly text?: string | undefined;
}

/** The folder that a corpus is taken from if it exists, and what would make it. */
export function sourceOf(plan: CorpusPlan): { path: string; recipe: Recipe | undefined } {
  const path = join(plan.folder, plan.quick ? `quick-${plan.name}` : plan.name);
  if (plan.name === 'text' && plan.text !== undefined) {
    if (statSync(plan.text).isDirectory()) return { path: plan.text, recipe: undefined };
    return { path: join(plan.folder, 'text-unpacked'), recipe: unpacked(plan.text) };
  }
  return { path, recipe: recipeOf(plan.name, plan.quick) };
}

/**
 * The corpus, made if it is not there yet. It gets its name when it is whole, so that one cut short is never taken for one:
 * what is left of it begins with `making-`.
 */
export async function prepareCorpus(plan: CorpusPlan, signal: AbortSignal): Promise<Corpus> {
  const { path, recipe } = sourceOf(plan);
  if (recipe !== undefined && !existsSync(path)) {
    await mkdir(plan.folder, { recursive: true });
    const making = await mkdtemp(join(plan.folder, 'making-'));
    try {
      await recipe.make(making, signal);
      await writeFile(originFile(path), recipe.origin);
      await rename(making, path);
    } catch (error) {
      await rm(making, { recursive: true, force: true, maxRetries: 5 });
      // Another bench with the same folder was faster: what it made is the same.
      if (systemCode(error) !== 'ENOTEMPTY') throw error;
    }
  }
  const { files, bytes } = await surveyFolder(path, signal);
  if (files === 0) throw new Error(`there are no files in ${path}`);
  return { name: plan.name, origin: await originOf(path), path, files, bytes };
}

/** Beside the folder, as all that is in it is backed up. */
function originFile(path: string): string {
  return `${path}.origin.txt`;
}

async function originOf(path: string): Promise<string> {
  try {
    return await readFile(originFile(path), 'utf8');
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return 'a folder that was there';
  }
}

/** A copy of the corpus, times and links included, at a path that does not exist yet. */
export async function copyCorpus(corpus: Corpus, path: string, signal: AbortSignal): Promise<void> {
  await promisify(execFile)('cp', ['-a', '--', corpus.path, path], { signal });
}
