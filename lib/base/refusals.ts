/** What the other side is told as its session ends since it is no device of a friend any longer: revoked, or the friendship has ended. */
export const notWanted = 'this device is not wanted here any longer';

/** Why a friend who is connected holds nothing for us: a meeting point, or one who doesn't grant the store. */
export const noRoomHere = 'it gives no room here (yet)';
