// Fields of forms, each with its label.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

interface FieldProps {
  label: string;
  /** A line below it, which says what is meant. */
  hint?: ComponentChildren;
}

interface TextProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  type?: "text" | "password" | "number" | "search";
  required?: boolean;
  placeholder?: string;
  autocomplete?: string;
  min?: number;
  max?: number;
  /** What is offered. */
  options?: string[];
  /** Whether the keyboard begins here. */
  first?: boolean;
}

export function TextField({
  label,
  hint,
  value,
  onChange,
  options,
  first,
  type,
  ...rest
}: TextProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        value={value}
        // biome-ignore lint/a11y/noAutofocus: dialogs and the sign-in begin somewhere.
        autoFocus={first ?? false}
        aria-describedby={hint ? `${id}-hint` : undefined}
        list={options ? `${id}-options` : undefined}
        autocomplete={rest.autocomplete ?? "off"}
        spellcheck={false}
        {...rest}
        // The types of Preact want one element for each type.
        type={(type ?? "text") as "text"}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {options && (
        <datalist id={`${id}-options`}>
          {options.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
      {hint && <Hint id={id}>{hint}</Hint>}
    </div>
  );
}

interface AreaProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  rows?: number;
  placeholder?: string;
}

export function TextArea({ label, hint, value, onChange, ...rest }: AreaProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <textarea
        id={id}
        value={value}
        spellcheck={false}
        aria-describedby={hint ? `${id}-hint` : undefined}
        {...rest}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {hint && <Hint id={id}>{hint}</Hint>}
    </div>
  );
}

interface ChoiceProps extends FieldProps {
  value: string;
  onChange: (value: string) => void;
  /** Values, or pairs of a value and what is shown for it. */
  options: (string | [string, string])[];
}

export function Choice({ label, hint, value, onChange, options }: ChoiceProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select
        id={id}
        value={value}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {options.map((option) => {
          const [own, text] = typeof option === "string" ? [option, option] : option;
          return (
            <option key={own} value={own}>
              {text}
            </option>
          );
        })}
      </select>
      {hint && <Hint id={id}>{hint}</Hint>}
    </div>
  );
}

interface CheckProps extends FieldProps {
  value: boolean;
  onChange: (value: boolean) => void;
}

export function Check({ label, hint, value, onChange }: CheckProps) {
  const id = useId();
  return (
    <div class="field check">
      <input
        id={id}
        type="checkbox"
        checked={value}
        aria-describedby={hint ? `${id}-hint` : undefined}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <label for={id}>{label}</label>
      {hint && <Hint id={id}>{hint}</Hint>}
    </div>
  );
}

function Hint({ id, children }: { id: string; children: ComponentChildren }) {
  return (
    <p class="hint" id={`${id}-hint`}>
      {children}
    </p>
  );
}
