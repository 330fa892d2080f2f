// Where nobody is signed in.

import { useState } from "preact/hooks";
import { ApiError, explain, post } from "./api/client.ts";
import type { WhoAmI } from "./api/types.ts";
import { person } from "./model/state.ts";
import { TextField } from "./ui/field.tsx";

function reasonFor(error: unknown): string {
  if (error instanceof ApiError && error.isSignedOut) {
    return "This name and password do not go together. After some failures each try takes longer.";
  }
  if (error instanceof ApiError && error.kind === "not_authorised") {
    return error.message.includes("localhost")
      ? "This user may sign in from the broker's own machine only. Make another user for other machines."
      : "This user may not use this page: it needs one of the tags management, policymaker, monitoring or administrator.";
  }
  return explain(error);
}

export function SignIn() {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [failure, setFailure] = useState<string | undefined>();
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setFailure(undefined);
    try {
      person.value = await post<WhoAmI>("/session", { name, password });
    } catch (error) {
      setFailure(reasonFor(error));
      setPassword("");
      setBusy(false);
    }
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit}>
        <h1>Warren</h1>
        <TextField
          label="User name"
          value={name}
          onChange={setName}
          autocomplete="username"
          required
          first
        />
        <TextField
          label="Password"
          type="password"
          value={password}
          onChange={setPassword}
          autocomplete="current-password"
          required
        />
        {failure && (
          <p class="error" role="alert">
            {failure}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
      </form>
    </main>
  );
}
