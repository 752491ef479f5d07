import { type Aftermath, Finding } from "./invariant.ts";

/** No process ended or raised an alarm that no fault explains, and every answer was one that the ledger expected. */
export async function conductIsGood({ fleet, violations, ledger, conductor }: Aftermath): Promise<Finding[]> {
  const [processes, answers] = [new Finding("processes live, no alarm"), new Finding("answers, rejections")];
  processes.compared = fleet.members.reduce((sum, { starts }) => sum + starts, conductor.total);
  processes.differences.push(...fleet.failures, ...violations);
  answers.compared = ledger.counts.requests + ledger.comparedRejections + ledger.comparedOutcomes;
  answers.differences.push(...ledger.surprises);
  return [processes, answers];
}
