import { compareBytes, toHex } from '../base/bytes.ts';
import { decodeInviteRecord, type InviteRecord } from '../format/invite-records.ts';

interface Line {
  readonly record: InviteRecord;
  readonly body: Uint8Array;
}

/** Positive if `a` counts more (docs/formats/invite.md, "Records"). */
function compareLines(a: Line, b: Line): number {
  if (a.record.state !== b.record.state) return a.record.state - b.record.state;
  if (a.record.atNs !== b.record.atNs) return a.record.atNs < b.record.atNs ? 1 : -1;
  return compareBytes(b.body, a.body);
}

/** Invites that this identity made, each as the record of it says that counts, in whatever order they were read. */
export class InviteTable {
  readonly #lines = new Map<string, Line>();

  /** Takes a record's body, which it keeps. True if it counts now. KithError `malformed` or `too-new`. */
  apply(body: Uint8Array): boolean {
    const line = { record: decodeInviteRecord(body), body };
    const id = toHex(line.record.inviteId);
    const known = this.#lines.get(id);
    const counts = known === undefined || compareLines(line, known) > 0;
    if (counts) this.#lines.set(id, line);
    return counts;
  }

  get(inviteId: Uint8Array): InviteRecord | undefined {
    return this.#lines.get(toHex(inviteId))?.record;
  }

  /** The oldest first. */
  all(): InviteRecord[] {
    const records = [...this.#lines.values()].map(({ record }) => record);
    return records.sort((a, b) => a.madeMs - b.madeMs || compareBytes(a.inviteId, b.inviteId));
  }
}
