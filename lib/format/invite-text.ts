import { decodeLine, encodeLine } from './line-text.ts';
import type { LineKind } from './line-text.ts';
import { inviteBytesMax } from './invite.ts';

/** What the text of an invite begins with. */
export const inviteTextPrefix = 'kith:invite:';

const inviteLine: LineKind = {
  prefix: inviteTextPrefix,
  noun: 'invite',
  aNoun: 'an invite',
  printedBy: 'kith invite',
  context: 'inviteText',
  bytesMax: inviteBytesMax,
  others: { 'kith:card:': 'this is a card, not an invite; add it with: kith friend add CARD' },
};

/** The invite's bytes as one line of text, without a line break, in lower case. It is as secret as the invite. */
export function encodeInviteText(bytes: Uint8Array): string {
  return encodeLine(inviteLine, bytes);
}

/** The invite's bytes, fresh; what they say nobody has checked. KithError `malformed`, saying what seems to be wrong. */
export function decodeInviteText(text: string): Uint8Array {
  return decodeLine(inviteLine, text);
}
