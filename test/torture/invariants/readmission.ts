import { CounterModel } from "../model.ts";
import { bucketsAreExact } from "./buckets.ts";
import { type Aftermath, Finding } from "./invariant.ts";
import { readLate } from "./late.ts";

/** Once all late events of a counter are readmitted, its buckets hold every accepted event and its ledger none. */
export async function readmissionIsExact(aftermath: Aftermath): Promise<Finding[]> {
  const finding = new Finding("after readmitting all: ledger empty, all counted");
  const { reader, ledger, late } = aftermath;
  const [model] = aftermath.models as [CounterModel, ...CounterModel[]];
  const { name } = model.counter;
  const { readmitted } = await reader.post<{ readmitted: number }>("/v1/late/readmit", { counter: name, all: true });
  await aftermath.drained();
  finding.same(`${name}: readmitted`, readmitted, late.get(name)?.length);
  finding.same(`${name}: still late`, (await readLate(reader, [name])).get(name), []);
  const complete = new CounterModel(model.counter, ledger.accepted.values(), new Set());
  for (const { compared, differences } of await bucketsAreExact({ ...aftermath, models: [complete] })) {
    finding.compared += compared;
    finding.differences.push(...differences);
  }
  return [finding];
}
