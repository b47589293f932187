import { KithError } from '../base/errors.ts';
import { formatSize } from '../base/units.ts';
import type { Reservation, Room } from '../holders/holder.ts';

/** Read anew at each use: they may change while the book is open. */
export interface RoomLimits {
  readonly quotaBytes: number | undefined;
  /** Bytes of the disk that stay free; by default 5 % of it, between 1 and 20 GB. */
  readonly freeFloorBytes: number | undefined;
}

/** What some of a vault's files take, where that is known; all but these has to be listed. */
export interface CountedBytes {
  readonly shards?: number;
  readonly logs?: number;
}

export interface RoomSource {
  /** The holder's name, for messages. */
  readonly name: string;
  /** Bytes of all the vault's files, by listing those that aren't counted already. */
  measure(counted: CountedBytes): Promise<number>;
  /** Room of the disk; undefined where that can't be told. */
  disk(): Promise<{ readonly free: number; readonly total: number } | undefined>;
}

/** What all books of one disk have set aside there together: one floor for all of them. */
export class DiskAccount {
  /** Bytes reserved and not written yet. */
  reservedBytes = 0;
  /** Counts writes that have ended: free space measured before one is out of date. */
  changes = 0;
}

/** Bytes to leave free on a disk of this size if nobody says otherwise. */
export function defaultFreeFloor(totalBytes: number): number {
  return Math.min(20e9, Math.max(1e9, Math.floor(totalBytes * 0.05)));
}

/** Bytes set aside in a RoomBook. Puts draw from it and give back what they didn't use. */
export class RoomReservation implements Reservation {
  readonly book: RoomBook;
  #bytes: number;
  #released = false;

  constructor(book: RoomBook, bytes: number) {
    this.book = book;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes up to `bytes` out; they stay reserved in the book. Returns how many. */
  draw(bytes: number): number {
    const drawn = Math.min(bytes, this.#bytes);
    this.#bytes -= drawn;
    return drawn;
  }

  /** Puts back what was drawn; where it was released meanwhile, the book gets it. */
  refill(bytes: number): void {
    if (this.#released) this.book.free(bytes);
    else this.#bytes += bytes;
  }

  release(): void {
    this.#released = true;
    this.book.free(this.#bytes);
    this.#bytes = 0;
  }
}

/** Room for one write that is to come, as `hold` set it aside. */
export interface Hold {
  /** To be drawn from by the write. */
  readonly reservation: Reservation;
  /** Ends it: what wasn't used goes back to where it came from. Harmless when repeated. */
  release(): void;
}

/**
 * Byte-exact account of what a vault uses and has reserved at a holder. What is used is learned by one listing at
 * first need and kept up to date by the changes that are told here; reservations live in memory. Checks and bookings
 * happen in one turn, so that any number of concurrent puts stay within the quota.
 */
export class RoomBook {
  readonly #source: RoomSource;
  readonly #limits: RoomLimits;
  readonly #account: DiskAccount;
  #used: number | undefined;
  #reserved = 0;
  #changing = 0;
  #changes = 0;
  #learning: Promise<number> | undefined;
  /** What was counted by others after so many changes. */
  #counted: { readonly bytes: CountedBytes; readonly changes: number } | undefined;

  /** Books of one disk share an account. */
  constructor(source: RoomSource, limits: RoomLimits, account: DiskAccount = new DiskAccount()) {
    this.#source = source;
    this.#limits = limits;
    this.#account = account;
  }

  async room(): Promise<Room> {
    const usedBytes = await this.#learned();
    const disk = await this.#disk();
    const byQuota = (this.#limits.quotaBytes ?? Number.MAX_SAFE_INTEGER) - usedBytes - this.#reserved;
    const byDisk = disk === undefined ? byQuota : disk.free - disk.floor - this.#account.reservedBytes;
    return {
      quotaBytes: this.#limits.quotaBytes,
      usedBytes,
      reservedBytes: this.#reserved,
      freeBytes: Math.max(0, Math.min(byQuota, byDisk)),
    };
  }

  /** KithError `quota-exceeded` or `disk-full` where there is no room for so many bytes. */
  async reserve(bytes: number): Promise<RoomReservation> {
    if (!Number.isSafeInteger(bytes) || bytes < 0) throw new RangeError(`cannot reserve ${bytes} bytes`);
    await this.#claim(bytes);
    return new RoomReservation(this, bytes);
  }

  /**
   * Sets aside room for a write before its bytes are here: from the reservation as far as it goes, else anew. Errors as
   * for `reserve`; the reservation is then as it was.
   */
  async hold(bytes: number, reservation?: Reservation): Promise<Hold> {
    const own = reservation === undefined ? undefined : this.#own(reservation);
    const used = await this.#learned();
    const drawn = own?.draw(bytes) ?? 0;
    try {
      if (bytes > 0) this.#checkQuota(0, used);
      await this.#claim(bytes - drawn);
    } catch (error) {
      own?.refill(drawn);
      throw error;
    }
    const held = new RoomReservation(this, bytes);
    let released = false;
    return {
      reservation: held,
      release: () => {
        if (released) return;
        released = true;
        // What was written came out of the reservation first.
        const back = Math.max(0, drawn - (bytes - held.bytes));
        own?.refill(held.draw(back));
        held.release();
      },
    };
  }

  /** Gives reserved bytes back. */
  free(bytes: number): void {
    this.#book(-bytes);
  }

  /**
   * Runs a write that makes the vault's files grow by `growth` bytes at most, counted first against the reservation,
   * then anew. `work` returns by how much they did grow, also after a failure that it tells in `error`; it throws only
   * if it can't say, and then what is used is learned again at the next need.
   */
  async grow(
    growth: number,
    reservation: Reservation | undefined,
    work: () => Promise<{ readonly grown: number; readonly error?: unknown }>,
  ): Promise<void> {
    const own = reservation === undefined ? undefined : this.#own(reservation);
    const used = await this.#learned();
    const drawn = own?.draw(growth) ?? 0;
    try {
      // Only where the quota was lowered since the room was reserved.
      if (growth > 0) this.#checkQuota(0, used);
      await this.#claim(growth - drawn);
    } catch (error) {
      own?.refill(drawn);
      throw error;
    }
    this.#changing++;
    let failure: { readonly error: unknown } | undefined;
    try {
      const { grown, error } = await work();
      if (this.#used !== undefined) this.#used += grown;
      if (error !== undefined) failure = { error };
    } catch (error) {
      this.forget();
      failure = { error };
    } finally {
      this.#changing--;
      this.#changes++;
      this.#account.changes++;
    }
    this.#book(drawn - growth);
    if (failure === undefined) {
      this.#book(-drawn);
      return;
    }
    own?.refill(drawn);
    throw failure.error;
  }

  /** Runs a removal; `work` returns the bytes that are gone. */
  async shrink(work: () => Promise<number>): Promise<void> {
    await this.grow(0, undefined, async () => ({ grown: -(await work()) }));
  }

  /** What is used is to be learned again: the disk was away, or a write ended nobody knows how. */
  forget(): void {
    this.#used = undefined;
    this.#counted = undefined;
    // What is being counted just now isn't to be believed either.
    this.#changes++;
  }

  /**
   * For one who is about to list all shards, or all logs, for another reason: takes the bytes of their files at the end, which saves
   * the next learning that listing. They count if no file has changed since this was called.
   */
  counting(part: keyof CountedBytes): (bytes: number) => void {
    const changes = this.#changes;
    const wasQuiet = this.#changing === 0;
    return (bytes) => {
      if (!wasQuiet || this.#changing > 0 || changes !== this.#changes) return;
      const others = this.#counted?.changes === changes ? this.#counted.bytes : {};
      this.#counted = { bytes: { ...others, [part]: bytes }, changes };
    };
  }

  /** Bytes set aside and not written yet. */
  get reservedBytes(): number {
    return this.#reserved;
  }

  #book(bytes: number): void {
    this.#reserved += bytes;
    this.#account.reservedBytes += bytes;
  }

  #own(reservation: Reservation): RoomReservation {
    if (reservation instanceof RoomReservation && reservation.book === this) return reservation;
    throw new RangeError('the reservation is of another holder');
  }

  async #learned(): Promise<number> {
    if (this.#used !== undefined) return this.#used;
    this.#learning ??= this.#learn().finally(() => {
      this.#learning = undefined;
    });
    return await this.#learning;
  }

  /** A listing counts only if no file changed while it was made. Writes wait for it, so those under way run out. */
  async #learn(): Promise<number> {
    for (;;) {
      const changes = this.#changes;
      const wasQuiet = this.#changing === 0;
      const counted = this.#counted?.changes === changes ? this.#counted.bytes : {};
      const used = await this.#source.measure(counted);
      if (wasQuiet && this.#changing === 0 && changes === this.#changes) {
        this.#used = used;
        return used;
      }
    }
  }

  /** Undefined: the disk doesn't tell, so it sets no limit. */
  async #disk(): Promise<{ readonly free: number; readonly floor: number } | undefined> {
    const disk = await this.#source.disk();
    if (disk === undefined) return undefined;
    return { free: disk.free, floor: this.#limits.freeFloorBytes ?? defaultFreeFloor(disk.total) };
  }

  async #claim(bytes: number): Promise<void> {
    // Nothing more is needed: a file in the place of another that isn't smaller fits any quota.
    if (bytes === 0) return;
    for (;;) {
      await this.#learned();
      const { changes } = this.#account;
      const disk = await this.#disk();
      const used = this.#used;
      // What was measured before a change may count bytes as free that are no longer reserved either.
      if (used === undefined || changes !== this.#account.changes) continue;
      this.#checkQuota(bytes, used);
      if (disk !== undefined) this.#checkFloor(bytes, disk.free, disk.floor);
      this.#book(bytes);
      return;
    }
  }

  #checkQuota(bytes: number, used: number): void {
    const { quotaBytes } = this.#limits;
    if (quotaBytes === undefined || used + this.#reserved + bytes <= quotaBytes) return;
    const { name } = this.#source;
    throw new KithError(
      'quota-exceeded',
      `"${name}" gives ${formatSize(quotaBytes)}, of which ${formatSize(used + this.#reserved)} are used; ` +
        `${formatSize(bytes)} more don't fit`,
      { details: { holder: name, quotaBytes, usedBytes: used, reservedBytes: this.#reserved, bytes } },
    );
  }

  #checkFloor(bytes: number, free: number, floor: number): void {
    const missing = bytes + this.#account.reservedBytes + floor - free;
    if (missing <= 0) return;
    const { name } = this.#source;
    throw new KithError(
      'disk-full',
      `the disk of "${name}" has ${formatSize(free)} free, and ${formatSize(floor)} are to stay so: ` +
        `${formatSize(missing)} are missing. Make room there, or lower the floor with: kith config set free.floor SIZE`,
      { details: { holder: name, freeBytes: free, floorBytes: floor, missingBytes: missing, bytes } },
    );
  }
}
