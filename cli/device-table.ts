import type { DeviceInfo } from '../lib/vault/types.ts';
import { shown, table } from './words.ts';

function time(ms: number): string {
  return new Date(ms).toISOString();
}

const msOf = (ns: bigint): number => Number(ns / 1_000_000n);

/** A device as JSON output gives it. */
export function deviceJson(device: DeviceInfo): Record<string, unknown> {
  return {
    id: device.id,
    name: device.name,
    this: device.isThis,
    created: time(msOf(device.createdNs)),
    last_seen: device.lastSeenMs === null ? null : time(device.lastSeenMs),
    revoked: device.revokedNs === null ? null : time(msOf(device.revokedNs)),
    online: device.online,
  };
}

function stateWords(device: DeviceInfo): string {
  if (device.isThis) return 'this one';
  if (device.revokedNs !== null) return `revoked on ${time(msOf(device.revokedNs)).slice(0, 10)}`;
  if (device.online) return 'online';
  return device.lastSeenMs === null ? 'not met yet' : `last seen ${time(device.lastSeenMs).slice(0, 16)}Z`;
}

/** Devices as a table for people. */
export function deviceTable(devices: readonly DeviceInfo[]): string[] {
  const rows = devices.map((device) => [
    shown(device.name),
    device.id.slice(0, 8),
    time(msOf(device.createdNs)).slice(0, 10),
    stateWords(device),
  ]);
  return table(['device', 'id', 'since', 'state'], rows);
}
