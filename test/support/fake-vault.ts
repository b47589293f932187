import type { VaultApi } from '../../lib/vault/types.ts';

function unused(name: string): () => never {
  return () => {
    throw new Error(`${name} is not part of this test`);
  };
}

/** A vault of which a test gives the methods that it uses. */
export function fakeVault(methods: Partial<VaultApi>): VaultApi {
  const names: readonly (keyof VaultApi)[] = [
    'driveAdd',
    'driveList',
    'driveRemove',
    'card',
    'reachability',
    'reachabilityAsked',
    'invite',
    'inviteList',
    'inviteWithdraw',
    'inviteWait',
    'accept',
    'acceptWait',
    'friendAdd',
    'friendList',
    'friendShow',
    'friendSet',
    'friendRemove',
    'friendPing',
    'backup',
    'snapshots',
    'list',
    'restore',
    'where',
    'status',
    'repair',
    'check',
    'configGet',
    'configSet',
  ];
  const rest = Object.fromEntries(names.map((name) => [name, unused(name)]));
  const vault = { id: 'ab'.repeat(32), name: 'tess', ...rest, close: () => Promise.resolve(), ...methods };
  return vault as unknown as VaultApi;
}

/** A promise with its ends at hand. */
export interface Gate {
  readonly passed: Promise<void>;
  readonly open: () => void;
}

export function gate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}
