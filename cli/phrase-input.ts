import { KithError } from '../lib/base/errors.ts';
import { readSmallFile } from './context.ts';

async function readStandardInput(): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of process.stdin as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > 65536) throw new KithError('usage', 'what came in is too long for a recovery phrase.');
  }
  return text;
}

/** The recovery phrase as it stands in a file, or comes in where that is `-`. KithError `usage`. */
export async function readPhrase(file: string): Promise<string> {
  return file === '-' ? await readStandardInput() : await readSmallFile(file, 'phrase file');
}
