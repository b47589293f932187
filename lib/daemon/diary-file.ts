import { join } from 'node:path';
import { isKithError } from '../base/errors.ts';
import { writeDurably } from '../disk/write-durably.ts';
import type { Session } from '../vault/session.ts';
import { decodeDiary, diaryBytesMax, encodeDiary, MeetingDiary } from './meeting-diary.ts';

const fileName = 'meetings';

/** The diary of a home; an empty one where there is no file yet, or a damaged one. */
export async function readDiary({ home, surroundings }: Session): Promise<MeetingDiary> {
  try {
    const bytes = await surroundings.disk.readWhole(join(home, fileName), diaryBytesMax);
    return new MeetingDiary(bytes === undefined ? [] : decodeDiary(bytes));
  } catch (error) {
    if (isKithError(error)) return new MeetingDiary();
    throw error;
  }
}

/** Replaces the file. Errors of writeDurably. */
export async function writeDiary({ home, surroundings }: Session, diary: MeetingDiary): Promise<void> {
  await writeDurably(surroundings.disk, {
    tempFolder: join(home, 'tmp'),
    path: join(home, fileName),
    parts: [encodeDiary(diary.days)],
    mode: 0o600,
  });
}
