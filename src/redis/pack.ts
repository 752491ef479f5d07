import { Packr } from "msgpackr/pack";

// Without msgpackr's extensions, which the MessagePack library inside Redis does not know.
const packr = new Packr({ useRecords: false, variableMapSize: true, encodeUndefinedAsNil: true });

/** An argument for a script, as `cmsgpack.unpack` reads it: arrays count from 1 there, `null` is nil. */
export function packForLua(value: unknown): Buffer {
  return packr.pack(value);
}
