import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cachedNodesMax, decodeDhtCache, encodeDhtCache } from '../../lib/daemon/dht-cache.ts';
import { decodeDiary, diaryDaysMax, encodeDiary, MeetingDiary } from '../../lib/daemon/meeting-diary.ts';
import { canonical, fuzzDecoder } from '../support/fuzz.ts';
import { checkGolden } from '../support/golden.ts';

const hour = 3_600_000;
const day = 24 * hour;
const start = 20_000 * day;
const [ben, cid, dot] = ['b', 'c', 'd'].map((digit) => digit.repeat(64)) as [string, string, string];
const friends = [
  { id: ben, name: 'ben' },
  { id: cid, name: 'cid' },
  { id: dot, name: 'dot' },
];
const known = friends.map(({ id }) => id);

function sampleDiary(): MeetingDiary {
  const diary = new MeetingDiary();
  diary.note(start, known, [ben]);
  diary.note(start + 5 * hour, known, [cid, ben]);
  diary.note(start + day, known, []);
  return diary;
}

const nodes = [
  { host: '10.0.0.7', port: 49737 },
  { host: '198.51.100.255', port: 1 },
];

void describe('who is never online together', () => {
  void it('is told of friends after some days, and of pairs of them', () => {
    const diary = new MeetingDiary();
    const said = (atMs: number): string[] => diary.apart(atMs, friends);
    for (let i = 0; i < 3; i++) {
      assert.deepEqual(said(start + i * day), [], 'too early to say');
      diary.note(start + i * day + 9 * hour, known, [ben]);
      diary.note(start + i * day + 21 * hour, known, [cid]);
    }
    const now = start + 2 * day + 22 * hour;
    assert.deepEqual(said(now), [
      'dot and you were never online together this week.',
      'ben and cid were never online together this week, as seen from here.',
    ]);
    diary.note(now, known, [ben, cid, dot]);
    assert.deepEqual(said(now), []);
    // A week later nothing of that counts, and nothing else is known.
    assert.deepEqual(said(now + 8 * day), []);
  });

  void it('isn’t told of who was added today', () => {
    const diary = new MeetingDiary();
    for (let i = 0; i < 4; i++) diary.note(start + i * day, [ben], [ben]);
    diary.note(start + 4 * day, known, [ben]);
    assert.deepEqual(diary.apart(start + 4 * day, friends), []);
  });

  void it('is kept for two weeks, whatever the clock does', () => {
    const diary = new MeetingDiary();
    for (let i = 0; i < 40; i++) diary.note(start + i * day, known, []);
    assert.equal(diary.days.length, diaryDaysMax);
    diary.note(start + 1000 * day, known, []);
    assert.equal(diary.days.length, 1);
    diary.note(start, known, []);
    assert.deepEqual(
      diary.days.map((each) => each.day),
      [20_000],
    );
  });

  void it('is bounded', () => {
    const diary = new MeetingDiary();
    const many = Array.from({ length: 3000 }, (_, i) => i.toString(16).padStart(64, '0'));
    diary.note(start, many, many);
    diary.note(start, many.toReversed(), many);
    assert.equal(diary.days[0]?.friends.size, 1024);
    assert.ok(decodeDiary(encodeDiary(diary.days)).length === 1);
  });

  void it('is written as ever', () => {
    const make = (): Uint8Array => encodeDiary(sampleDiary().days);
    checkGolden('finding.json', 'diary', make, decodeDiary, encodeDiary);
    const again = new MeetingDiary(decodeDiary(make()));
    assert.deepEqual(again.days, sampleDiary().days);
  });
});

void describe('nodes of friends’ DHT that are kept', () => {
  void it('are written as ever, IPv4 alone, and no more than are asked', () => {
    checkGolden('finding.json', 'dht-cache', () => encodeDhtCache(nodes), decodeDhtCache, encodeDhtCache);
    const odd = [
      { host: '::1', port: 1 },
      { host: 'node1.example.org', port: 1 },
      { host: '10.0.0.1', port: 0 },
    ];
    assert.deepEqual(decodeDhtCache(encodeDhtCache([...odd, ...nodes])), nodes);
    const many = Array.from({ length: 500 }, (_, i) => ({ host: '10.0.0.1', port: i + 1 }));
    assert.deepEqual(decodeDhtCache(encodeDhtCache(many)), many.slice(0, cachedNodesMax));
  });
});

fuzzDecoder('a diary', [encodeDiary(sampleDiary().days)], canonical(decodeDiary, encodeDiary));
fuzzDecoder('nodes that are kept', [encodeDhtCache(nodes)], canonical(decodeDhtCache, encodeDhtCache));
