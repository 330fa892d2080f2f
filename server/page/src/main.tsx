// Where the page begins: who is signed in decides what is shown. What is around all pages is loaded
// at once, as most who come are signed in, but not run for who is not: a new process of a browser
// takes longer to run a script than to get it.

import { type ComponentType, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { person, whoAmI } from "./model/state.ts";
import { SignIn } from "./signin.tsx";

function App() {
  const [Shell, setShell] = useState<ComponentType>();
  const [isLost, setLost] = useState(false);
  const isSomebody = Boolean(person.value);
  useEffect(() => {
    if (!isSomebody || Shell) return;
    import("./shell.tsx").then(
      (loaded) => setShell(() => loaded.Shell),
      () => setLost(true),
    );
  }, [isSomebody]);
  if (person.value === null) return <SignIn />;
  if (isSomebody && Shell) return <Shell />;
  if (isLost) return <p role="alert">A part of this page could not be loaded. Reload it.</p>;
  return <div class="loading">Warren</div>;
}

const root = document.getElementById("page");
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
void whoAmI();
