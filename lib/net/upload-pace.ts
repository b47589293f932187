import type { BulkInbox } from './bulk.ts';
import type { Timers } from './timers.ts';

/** How often an upload's pace is looked at. */
export const uploadLookMs = 60_000;

/** An upload that takes longer than so many looks gives way to others. */
export const uploadLooksMax = 30;

/**
 * Looks every minute whether an upload that holds memory makes progress. At the pace of its last minute it must be done within half an hour
 * (bytes for which we gave no credit are not its fault); else, where `isWanted` says that others wait for the memory, `giveUp` is called,
 * once. Ends by itself when the upload is complete; the result ends it before.
 */
export function watchUploadPace(options: {
  readonly timers: Timers;
  readonly inbox: Pick<BulkInbox, 'totalBytes' | 'missingBytes' | 'owedBytes' | 'complete'>;
  readonly isWanted: () => boolean;
  readonly giveUp: () => void;
}): () => void {
  const { timers, inbox, isWanted, giveUp } = options;
  const leastBytes = Math.ceil(inbox.totalBytes / uploadLooksMax);
  let callOff = (): void => {};
  const look = (missingBefore: number, owedBefore: number): void => {
    if (inbox.complete) return;
    const isSlow = missingBefore - inbox.missingBytes < Math.min(leastBytes, owedBefore);
    if (isSlow && isWanted()) giveUp();
    else plan();
  };
  const plan = (): void => {
    const { missingBytes, owedBytes } = inbox;
    callOff = timers.after(uploadLookMs, () => look(missingBytes, owedBytes));
  };
  plan();
  return () => callOff();
}
