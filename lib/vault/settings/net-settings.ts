import { hostPortText, parseHostPort } from '../../base/host-port.ts';
import { KithError } from '../../base/errors.ts';

/** Meeting points that one names: each is asked in every search. */
export const meetingPointsMax = 8;

/** KithError `usage` unless it is on or off. */
export function checkOnOrOff(value: string): void {
  if (value !== 'on' && value !== 'off') throw new KithError('usage', `"${value}" is neither on nor off.`);
}

/**
 * Meeting points as `net.meeting_points` has them: `HOST:PORT`, several with commas; `none` where the user needs none; none chosen where it is empty.
 * KithError `usage`.
 */
export function meetingPointsOf(value: string): readonly { host: string; port: number }[] | 'none' {
  if (value.trim() === 'none') return 'none';
  const parts = value.split(',').map((part) => part.trim());
  const points = parts.filter((part) => part !== '').map(parseHostPort);
  if (points.length > meetingPointsMax) {
    throw new KithError('usage', `more than ${meetingPointsMax} meeting points are never asked.`);
  }
  const nowhere = points.find(({ port }) => port === 0);
  if (nowhere !== undefined) throw new KithError('usage', `${hostPortText(nowhere)} is no place: port 0.`);
  return points;
}
