// Windows over the page, made of `<dialog>`: the browser keeps the keyboard inside, closes them
// with Escape and gives the focus back.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { explain } from "../api/client.ts";

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  wide?: boolean;
}

/** A window that is open as long as it is rendered. */
export function Dialog({ title, onClose, children, wide }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [before] = useState(() => document.activeElement);
  useEffect(() => {
    const dialog = ref.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => {
      dialog?.close();
      // Browsers give the keyboard back to where it was only while the window is in the page.
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      class={wide ? "wide" : ""}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface FormProps {
  title: string;
  /** What the button says that does it. */
  action: string;
  danger?: boolean;
  wide?: boolean;
  /** Whether it stays when it is done, as what it shows then is another thing. */
  keep?: boolean;
  /** Why what is filled in cannot be done, if that is known before. */
  refusal?: string | undefined;
  onClose: () => void;
  /** Does it. What it throws is shown in the window, which stays open. */
  onSubmit: () => Promise<void>;
  children: ComponentChildren;
}

/** A window with fields and a button. It closes when what was asked for is done. */
export function FormDialog(props: FormProps) {
  const { title, action, danger, wide, keep, refusal, onClose, onSubmit, children } = props;
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await onSubmit();
      if (!keep) onClose();
    } catch (failure) {
      setError(failure);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose} wide={wide ?? false}>
      <form onSubmit={submit}>
        <div class="dialog-body">{children}</div>
        {(refusal ?? error) !== undefined && (
          <p class="error" role="alert">
            {refusal ?? explain(error)}
          </p>
        )}
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            class={danger ? "danger" : "primary"}
            disabled={isBusy || refusal !== undefined}
          >
            {isBusy ? "…" : action}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

interface Question {
  title: string;
  body: ComponentChildren;
  action: string;
  danger?: boolean;
  run: () => Promise<void>;
}

const question = signal<Question | undefined>(undefined);

/**
 * Asks whether something is to be done, and does it: `run` is what. Why it could not be done is
 * shown in the window.
 */
export function confirm(asked: Question): void {
  question.value = asked;
}

/** Where questions are asked; once, in the shell. */
export function Questions() {
  const asked = question.value;
  if (!asked) return null;
  return (
    <FormDialog
      key={asked.title}
      title={asked.title}
      action={asked.action}
      danger={asked.danger ?? true}
      onClose={() => {
        question.value = undefined;
      }}
      onSubmit={asked.run}
    >
      {asked.body}
    </FormDialog>
  );
}
