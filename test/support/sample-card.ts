import { utf8 } from '../../lib/base/bytes.ts';
import { hashIn } from '../../lib/crypto/hash.ts';
import { signKeyPair } from '../../lib/crypto/sign.ts';
import type { SignKeyPair } from '../../lib/crypto/sign.ts';
import { encodeAddressBody } from '../../lib/format/address-body.ts';
import type { AddressEndpoint } from '../../lib/format/address-body.ts';
import type { Card } from '../../lib/format/card.ts';
import { signCertificate } from '../../lib/format/certificate.ts';
import type { Certificate } from '../../lib/format/certificate.ts';
import { signAddressRecord } from '../../lib/format/friend-records.ts';
import type { AddressRecord } from '../../lib/format/friend-records.ts';
import { signRevocation } from '../../lib/format/revocation.ts';
import type { Revocation } from '../../lib/format/revocation.ts';

function seedOf(label: string): Uint8Array {
  return hashIn('checksum', utf8(label));
}

/** A port of a device on this machine. */
export function endpointOf(port: number, host = '127.0.0.1'): AddressEndpoint {
  return { host, port, direct: true, dht: port % 2 === 0 };
}

/** Somebody with an identity and any number of devices, all made from a label: the same on every run. */
export class SamplePerson {
  readonly label: string;
  readonly keys: SignKeyPair;
  readonly doorstep: SignKeyPair;

  constructor(label: string) {
    this.label = label;
    this.keys = signKeyPair(seedOf(`${label} identity`));
    this.doorstep = signKeyPair(seedOf(`${label} doorstep`));
  }

  get identity(): Uint8Array {
    return this.keys.publicKey;
  }

  device(index: number): SignKeyPair {
    return signKeyPair(seedOf(`${this.label} device ${index}`));
  }

  certificate(index: number, facts: Partial<Certificate> = {}): Certificate {
    return signCertificate(
      {
        vaultId: this.identity,
        deviceId: this.device(index).publicKey,
        boxKey: seedOf(`${this.label} box ${index}`),
        recoveryKey: seedOf(`${this.label} recovery`),
        doorstepKey: this.doorstep.publicKey,
        createdNs: BigInt(index),
        name: `device ${index}`,
        extensions: [],
        ...facts,
      },
      this.keys.secretKey,
    );
  }

  revocation(index: number): Revocation {
    const { publicKey: deviceId } = this.device(index);
    const logs = [{ logKey: seedOf(`${this.label} log ${index}`), trustedLength: 7 }];
    return signRevocation(
      { vaultId: this.identity, deviceId, createdNs: BigInt(index), logs, extensions: [] },
      this.keys.secretKey,
    );
  }

  address(
    index: number,
    counter: number,
    body: { readonly name?: string; readonly endpoints?: readonly AddressEndpoint[] } = {},
  ): AddressRecord {
    const { name = this.label, endpoints = [endpointOf(1000 + counter)] } = body;
    return this.addressOf(index, counter, encodeAddressBody({ name, endpoints, extensions: [] }));
  }

  /** A record with any body. */
  addressOf(index: number, counter: number, sealed: Uint8Array): AddressRecord {
    const { publicKey: deviceId, secretKey } = this.device(index);
    return signAddressRecord(this.identity, { deviceId, counter, sealed }, secretKey);
  }

  /** A card with the devices 1 … `count`, each with an address record of counter 1, unless `parts` says otherwise. */
  card(count = 1, parts: Partial<Card> = {}): Card {
    const indices = Array.from({ length: count }, (_, i) => i + 1);
    return {
      identity: this.identity,
      certificates: indices.map((index) => this.certificate(index)),
      revocations: [],
      addresses: indices.map((index) => this.address(index, 1)),
      extensions: [],
      ...parts,
    };
  }
}
