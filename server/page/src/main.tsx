// Where the page begins: who is signed in decides what is shown.

import { render } from "preact";
import { person, whoAmI } from "./model/state.ts";
import { Shell } from "./shell.tsx";
import { SignIn } from "./signin.tsx";

function App() {
  if (person.value === undefined) return <div class="loading">Warren</div>;
  return person.value === null ? <SignIn /> : <Shell />;
}

const root = document.getElementById("page");
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
void whoAmI();
