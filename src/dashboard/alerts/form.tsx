import { useState } from "preact/hooks";
import type { CounterDefinition, Measure } from "../api.ts";
import { RequestFailed } from "../rest.ts";
import { type Alert, type AlertRule, alertsApi } from "./api.ts";

export interface AlertFormProps {
  readonly counters: readonly CounterDefinition[];
  /** `null`: a new one. */
  readonly alert: Alert | null;
  /** With what was saved; without, nothing was. */
  readonly onDone: (saved?: Alert) => void;
}

/** Writes a rule. What is wrong with it is the service's to say. */
export function AlertForm({ counters, alert, onDone }: AlertFormProps) {
  const [fault, setFault] = useState<string | null>(null);
  const [counter, setCounter] = useState(alert?.counter ?? counters[0]?.name ?? "");
  const [target, setTarget] = useState(targetOf(alert));
  const by = counters.find(({ name }) => name === counter)?.by ?? [];
  const submit = async (form: HTMLFormElement) => {
    try {
      const rule = readRule(new FormData(form), by.length, alert?.webhook?.format);
      onDone(await alertsApi.save(rule, alert?.id ?? null));
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      setFault(error.message);
    }
  };
  return (
    <form
      class="alert-form"
      aria-label={alert ? `Edit ${alert.name}` : "New alert"}
      onSubmit={(event) => {
        event.preventDefault();
        void submit(event.currentTarget);
      }}
    >
      <Field label="Name" name="name" value={alert?.name} required />
      <label>
        Counter
        <select name="counter" value={counter} onChange={({ currentTarget }) => setCounter(currentTarget.value)}>
          {counters.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label>
        Of
        <select name="target" value={target} onChange={({ currentTarget }) => setTarget(currentTarget.value)}>
          <option value="total">the total</option>
          <option value="each">each key on its own</option>
          <option value="one">one key</option>
        </select>
      </label>
      {target === "one" &&
        by.map((field, i) => (
          <Field key={field} label={field} name={`key${i}`} value={Array.isArray(alert?.key) ? alert.key[i] : ""} />
        ))}
      <Select label="Measure" name="measure" value={alert?.measure} options={["count", "sum", "unique"]} />
      <Field label="Over the last" name="last" value={alert?.last ?? "5m"} required />
      <Select label="Is" name="op" value={alert?.op} options={[">", ">=", "<", "<="]} />
      <Field label="Threshold" name="threshold" value={alert?.threshold} type="number" step="any" required />
      <Select
        label="Compared with"
        name="compare"
        value={alert?.compare ?? ""}
        options={["", "previous"]}
        names={["the threshold", "the span before, in %"]}
      />
      <Field label="For at least" name="for" value={alert?.for ?? ""} />
      <Field label="Resolve at" name="resolve" value={alert?.resolve} type="number" step="any" />
      <Field label="Keep firing for" name="keepFiring" value={alert?.keepFiring ?? ""} />
      <Select
        label="Without data"
        name="noData"
        value={alert?.noData ?? ""}
        options={["", "ok", "firing"]}
        names={["evaluate with zeros", "is fine", "fires"]}
      />
      <Field label="Webhook URL" name="webhook" value={alert?.webhook?.url ?? ""} type="url" />
      {fault && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      <div class="controls">
        <button type="submit">{alert ? "Save" : "Create"}</button>
        <button type="button" onClick={() => onDone()}>
          Cancel
        </button>
      </div>
    </form>
  );
}

interface FieldProps {
  readonly label: string;
  readonly name: string;
  readonly value: string | number | undefined;
  readonly type?: "text" | "number" | "url";
  readonly step?: string;
  readonly required?: boolean;
}

function Field({ label, value, type = "text", ...input }: FieldProps) {
  return (
    <label>
      {label}
      <input
        defaultValue={value === undefined ? "" : String(value)}
        autocomplete="off"
        type={type as "text"}
        {...input}
      />
    </label>
  );
}

interface SelectProps {
  readonly label: string;
  readonly name: string;
  readonly value: string | undefined;
  readonly options: readonly string[];
  readonly names?: readonly string[];
}

function Select({ label, name, value, options, names }: SelectProps) {
  return (
    <label>
      {label}
      <select name={name}>
        {options.map((option, i) => (
          <option key={option} value={option} selected={option === value}>
            {names?.[i] ?? option}
          </option>
        ))}
      </select>
    </label>
  );
}

function targetOf(alert: Alert | null): string {
  if (!alert || alert.key === null) return "total";
  return alert.key === "*" ? "each" : "one";
}

/** Fields left empty are left to the service; how messages look is not chosen here, and stays. */
function readRule(form: FormData, keyFields: number, format: string | undefined): AlertRule {
  const text = (name: string) => String(form.get(name) ?? "");
  const optional = <Name extends string, Value>(name: Name, convert: (value: string) => Value) =>
    (text(name) === "" ? {} : { [name]: convert(text(name)) }) as { [N in Name]?: Value };
  const target = text("target");
  const key =
    target === "total" ? null : target === "each" ? "*" : Array.from({ length: keyFields }, (_, i) => text(`key${i}`));
  return {
    name: text("name"),
    counter: text("counter"),
    key,
    measure: text("measure") as Measure,
    last: text("last"),
    op: text("op") as AlertRule["op"],
    threshold: Number(text("threshold")),
    ...optional("for", String),
    ...optional("resolve", Number),
    ...optional("keepFiring", String),
    ...optional("noData", (value) => value as "ok" | "firing"),
    ...optional("compare", () => "previous" as const),
    ...(text("webhook") !== "" && { webhook: { url: text("webhook"), ...(format && { format }) } }),
  };
}
