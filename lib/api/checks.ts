import { isAbsolute } from 'node:path';
import { KithError } from '../base/errors.ts';

/** Throws KithError `malformed`, naming the value, unless it is as it should be. */
export type Check = (value: unknown, name: string) => void;

/** Characters of one text: the longest is a peer card. */
const textLengthMax = 256 * 1024;

/** Values in one list: the paths of a backup. */
const listLengthMax = 65536;

function refuse(name: string, expected: string): never {
  throw new KithError('malformed', `${name} must be ${expected}`);
}

export const text: Check = (value, name) => {
  if (typeof value !== 'string' || value.length > textLengthMax || value.includes('\0')) {
    refuse(name, 'a text');
  }
};

/** A relative path would mean another place here than where the command was typed. */
export const absolutePath: Check = (value, name) => {
  text(value, name);
  if (typeof value !== 'string' || !isAbsolute(value)) refuse(name, 'an absolute path');
};

export const flag: Check = (value, name) => {
  if (typeof value !== 'boolean') refuse(name, 'true or false');
};

export const count: Check = (value, name) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) refuse(name, 'a whole number');
};

export function oneOf(...choices: readonly string[]): Check {
  return (value, name) => {
    if (typeof value !== 'string' || !choices.includes(value)) refuse(name, `one of ${choices.join(', ')}`);
  };
}

export function listOf(item: Check): Check {
  return (value, name) => {
    if (!Array.isArray(value) || value.length > listLengthMax) refuse(name, 'a list');
    for (const each of value as unknown[]) item(each, name);
  };
}

/** An object with these fields and no others; all may be left out but those that are required. */
export function fields(specs: Readonly<Record<string, Check>>, required: readonly string[] = []): Check {
  return (value, name) => {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) refuse(name, 'an object');
    for (const key of required) {
      if (!Object.hasOwn(value, key)) refuse(`${name}.${key}`, 'given');
    }
    for (const [key, field] of Object.entries(value)) {
      const check = Object.hasOwn(specs, key) ? specs[key] : undefined;
      if (check === undefined) refuse(name, `without "${key.slice(0, 64)}"`);
      check(field, `${name}.${key}`);
    }
  };
}

/** May be left out, which is null where it has a place in a list. */
export function optional(check: Check): Check {
  return (value, name) => {
    if (value !== undefined && value !== null) check(value, name);
  };
}
