import { countOf, formatSize } from '../base/units.ts';
import type { Method } from '../api/methods.ts';
import type { BackupSummary, CheckSummary, RepairSummary, RestoreSummary } from '../vault/types.ts';

/** What a writer is called by those who wait for it. */
export function writerName(method: Method): string {
  if (method === 'backup' || method === 'repair') return `the ${method}`;
  return 'another command';
}

/** What a repair did, or undefined where nothing was to do. */
export function repairedWords(summary: RepairSummary): string | undefined {
  const { shardsMissing, shardsRebuilt, shardsStillMissing, snapshotsPublished, packsLost, packsFailed } =
    summary;
  const parts: string[] = [];
  if (shardsMissing > 0) {
    const sent = formatSize(summary.bytesSent);
    parts.push(
      `${countOf(shardsMissing, 'piece was', 'pieces were')} missing, ${shardsRebuilt} rebuilt, ${sent} sent`,
    );
  }
  if (shardsStillMissing > 0) parts.push(`${countOf(shardsStillMissing, 'piece', 'pieces')} found no place`);
  if (snapshotsPublished > 0)
    parts.push(`${countOf(snapshotsPublished, 'snapshot')} that waited now complete`);
  if (packsLost > 0) parts.push(`${countOf(packsLost, 'part')} can't be rebuilt now`);
  if (packsFailed > 0) parts.push(`${countOf(packsFailed, 'part')} could not be repaired`);
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** What a check found. */
function checkedWords(summary: CheckSummary): string {
  const { packs, packsDamaged, blobsDamaged, snapshotsAffected, bytesRead } = summary;
  return (
    `${countOf(packs, 'part')}, ${packsDamaged} damaged, ${formatSize(bytesRead)} read; ` +
    `${countOf(blobsDamaged, 'blob')} damaged, ${countOf(snapshotsAffected.length, 'snapshot')} affected`
  );
}

/** What a command did, as far as it is nobody's secret: counts and sizes, no names. */
export function finishedWords(method: Method, value: unknown): string {
  if (method === 'backup') {
    const { state, totalFilesProcessed, dataAdded } = value as BackupSummary;
    return `backup ended: ${state}, ${countOf(totalFilesProcessed, 'file')}, ${formatSize(dataAdded)} new`;
  }
  if (method === 'restore') {
    const { filesRestored, bytesRestored } = value as RestoreSummary;
    return `restore ended: ${countOf(filesRestored, 'file')}, ${formatSize(bytesRestored)}`;
  }
  if (method === 'repair')
    return `repair ended: ${repairedWords(value as RepairSummary) ?? 'nothing was to do'}`;
  if (method === 'check') return `check ended: ${checkedWords(value as CheckSummary)}`;
  return `${method} ended`;
}
