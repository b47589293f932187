import { isKithError, messageOf } from '../base/errors.ts';
import { isIPv6 } from 'node:net';
import { hostPortText } from '../base/host-port.ts';
import type { HostPort } from '../base/host-port.ts';
import type { AddressEndpoint } from '../format/address-body.ts';
import { announcedPlaces } from '../trust/announced.ts';
import { addressClass } from '../net/address-class.ts';
import type { OpenPort, PortMapping } from '../net/router/port-mapping.ts';
import { reachabilityOf } from '../net/router/reachability.ts';
import { systemTimers } from '../net/timers.ts';
import type { Standing } from '../vault/friends/friend-network.ts';
import { meetingPointsOf } from '../vault/settings/net-settings.ts';
import type { Session } from '../vault/session.ts';
import { readDhtCache, writeDhtCache } from './dht-cache.ts';
import { readDiary, writeDiary } from './diary-file.ts';
import type { NetworkOptions, Note } from './home-port.ts';
import type { MeetingDiary } from './meeting-diary.ts';
import type { PeerLinks } from './peer-links.ts';

/** How often it is noted who is online: an hour is the diary's unit. */
const noteMs = 5 * 60_000;

/** Of the notes every so many are written down, with the nodes of the DHT: what a crash costs. */
const notesPerWrite = 6;

/** Meeting points that the user chose; none where the setting says that none is needed. */
export function chosenMeetingPoints({ settings }: Pick<Session, 'settings'>): readonly HostPort[] {
  const points = meetingPointsOf(settings.value('net.meeting_points'));
  return points === 'none' ? [] : points;
}

export interface BeginOptions {
  /** Undefined: nothing listens. */
  readonly listening: HostPort | undefined;
  readonly note: Note;
  /** `outside` is another than before. */
  readonly onMapping: () => void;
}

/** What a daemon knows of how friends and it find each other, and keeps in the home for the next start (docs/net.md). */
export class Finding {
  /** Nodes of friends' DHT that were known when this home was last up. */
  readonly remembered: readonly HostPort[];
  readonly #session: Session;
  readonly #options: NetworkOptions;
  readonly #diary: MeetingDiary;
  readonly #online = new Set<string>();
  #links: PeerLinks | undefined;
  #mapping: OpenPort | null = null;
  #mapper: PortMapping | undefined;
  #opening: Promise<void> | undefined;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #notes = 0;

  private constructor(
    session: Session,
    options: NetworkOptions,
    diary: MeetingDiary,
    remembered: readonly HostPort[],
  ) {
    this.#session = session;
    this.#options = options;
    this.#diary = diary;
    this.remembered = remembered;
  }

  /** Reads what the home has. */
  static async open(session: Session, options: NetworkOptions): Promise<Finding> {
    // With public entries the nodes were strangers': whoever leaves that out again isn't led back to them.
    const remembered = options.dht && !options.publicDht ? await readDhtCache(session) : [];
    return new Finding(session, options, await readDiary(session), remembered);
  }

  /** Begins to note, and has the router asked where the user wants that; the links are open. */
  begin(links: PeerLinks, { listening, note, onMapping }: BeginOptions): void {
    this.#links = links;
    if (listening !== undefined && this.#session.settings.value('net.port_mapping') === 'on') {
      this.#opening = this.#openPort(listening, note, onMapping);
    }
    this.#note();
    this.#timer = setInterval(() => {
      this.#note();
      this.#notes++;
      if (this.#notes % notesPerWrite === 0) void this.#write();
    }, noteMs);
    this.#timer.unref();
  }

  /** Where a router passes our port on, as the user says. */
  get announced(): readonly HostPort[] {
    return announcedPlaces(this.#session.settings.value('net.announce'));
  }

  /** Where the router lets friends in, for the card: before this computer's own addresses, which only its own network can use. */
  get outside(): readonly AddressEndpoint[] {
    const { direct, dht } = this.#options;
    const announced = this.announced.map((place) => ({ ...place, direct, dht: dht && !isIPv6(place.host) }));
    return [...announced.filter((each) => each.direct || each.dht), ...this.#mapped];
  }

  get #mapped(): readonly AddressEndpoint[] {
    if (this.#mapping === null || addressClass(this.#mapping.host) !== 'public') return [];
    const { host, tcp, udp } = this.#mapping;
    if (tcp !== null && tcp === udp) return [{ host, port: tcp, direct: true, dht: true }];
    return [
      ...(tcp === null ? [] : [{ host, port: tcp, direct: true, dht: false }]),
      ...(udp === null ? [] : [{ host, port: udp, direct: false, dht: true }]),
    ];
  }

  async #openPort(listening: HostPort, note: Note, onMapping: () => void): Promise<void> {
    if (addressClass(listening.host) === 'loopback') return;
    const { PortMapping } = await import('../net/router/port-mapping.ts');
    const { direct, dht } = this.#options;
    const mapper = new PortMapping({
      port: listening.port,
      protocols: [...(direct ? (['tcp'] as const) : []), ...(dht ? (['udp'] as const) : [])],
      timers: systemTimers,
      onChange: (open) => {
        this.#mapping = open;
        onMapping();
      },
      note: (text) => note('info', 'port-mapping', text),
    });
    this.#mapper = mapper;
    if (!this.#isClosed) void mapper.start();
  }

  presence(id: string, online: boolean): void {
    if (online) this.#online.add(id);
    else this.#online.delete(id);
    this.#note();
  }

  /** How this computer stands now; `addresses` are those that friends can dial, each `HOST:PORT`. */
  standing(addresses: readonly string[]): Standing {
    const { role = 'friend', publicDht } = this.#options;
    const points = meetingPointsOf(this.#session.settings.value('net.meeting_points'));
    const { cameInFrom = [], seenAs = null } = this.#links?.observed ?? {};
    const reachability = reachabilityOf({
      addresses,
      announced: this.announced.map(hostPortText),
      cameInFrom,
      seenAs,
      mapping:
        this.#mapping === null
          ? null
          : { host: this.#mapping.host, port: this.#mapping.tcp ?? this.#mapping.udp ?? 0 },
      meetingPoints: points === 'none' ? points : points.map(({ host, port }) => `${host}:${port}`),
      publicDht,
    });
    return {
      addresses,
      role,
      reachability,
      apart: this.#diary.apart(this.#nowMs(), this.#session.friends()),
    };
  }

  /** Writes what is known once more: before the links are closed, which know it. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#isClosed = true;
    await this.#opening;
    await this.#mapper?.close();
    if (this.#links === undefined) return;
    this.#note();
    await this.#write();
  }

  #nowMs(): number {
    return Number(this.#session.surroundings.clock.nowNs() / 1_000_000n);
  }

  #note(): void {
    const known = this.#session.friends().map(({ id }) => id);
    this.#diary.note(this.#nowMs(), known, [...this.#online]);
  }

  /** Neither file is needed: one that can't be written is told of and costs some time at the next start. */
  async #write(): Promise<void> {
    const nodes = this.#links?.observed.neighbours ?? [];
    try {
      await writeDiary(this.#session, this.#diary);
      const { dht, publicDht } = this.#options;
      // Whoever was alone is no reason to forget who was there before.
      if (dht && !publicDht && nodes.length > 0) await writeDhtCache(this.#session, nodes);
    } catch (error) {
      const code = isKithError(error) ? error.code : 'internal';
      this.#session.problem({ item: 'who was online', message: messageOf(error), code });
    }
  }
}
