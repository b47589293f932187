import { KithError, isKithError, systemCode } from '../lib/base/errors.ts';
import { readSmallFile } from './context.ts';
import type { Card } from '../lib/format/card.ts';
import type { Invite } from '../lib/format/invite.ts';

/** How every invite's line begins, in either case. */
export const invitePrefix = 'kith:invite:';

/** Bytes of a file with an invite at most: a page has the line, a picture of it and some words. */
const inviteFileBytesMax: number = 512 * 1024;

/** An invite's line within a page that `kith invite --page` made. */
const lineInPage = /kith:invite:[a-z2-7]+/i;

/** A line of some kind itself, be it even the wrong one, rather than the name of a file. */
function isLine(given: string): boolean {
  return /^\s*kith:(?:invite|card):/i.test(given);
}

/**
 * The invite's line, given itself, or as the name of a file with it or of a page that holds it. KithError `usage` where there is
 * no such file.
 */
export async function readInvite(given: string): Promise<string> {
  if (isLine(given)) return given.trim();
  const text = await readSmallFile(given, 'invite', inviteFileBytesMax).catch((error: unknown) => {
    if (!isKithError(error, 'usage') || systemCode(error.cause) !== 'ENOENT') throw error;
    throw new KithError(
      'usage',
      `"${given}" is no invite: it doesn't begin with ${invitePrefix}, and there is no file of that name here.`,
      { cause: error },
    );
  });
  if (!/^\s*</.test(text)) return text.trim();
  return lineInPage.exec(text)?.[0] ?? text.trim();
}

/** What an invite says, verified. KithErrors of its text, and of what is in it with a word on what to do. */
export async function openInvite(line: string): Promise<{ readonly invite: Invite; readonly card: Card }> {
  const { decodeInviteText } = await import('../lib/format/invite-text.ts');
  const { decodeInvite, verifyInvite } = await import('../lib/format/invite.ts');
  const bytes = decodeInviteText(line);
  try {
    const invite = decodeInvite(bytes);
    return { invite, card: verifyInvite(invite) };
  } catch (error) {
    if (!isKithError(error, 'malformed', 'not-authentic')) throw error;
    throw new KithError(
      error.code,
      `this invite was damaged or changed on its way (${error.message}). Ask your friend for a new one; they make it with: kith invite`,
      { details: error.details, cause: error },
    );
  }
}
