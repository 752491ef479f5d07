import { token } from "./rest.ts";

/** Asks for an API key where the service wants one. It stays in this tab and never gets into the address. */
export function KeyForm({ reason }: { readonly reason: string }) {
  return (
    <form
      class="panel first"
      onSubmit={(event) => {
        event.preventDefault();
        const key = new FormData(event.currentTarget).get("key");
        token.set(String(key));
        location.reload();
      }}
    >
      <h2>API key needed</h2>
      <p class="fault">{reason}</p>
      <label>
        API key <input name="key" type="password" autocomplete="off" required />
      </label>
      <button type="submit">Use it in this tab</button>
    </form>
  );
}
