// Tags of users: what they may do in the page and its API.

import { Badge } from "./pieces.tsx";

const KNOWN: [string, string][] = [
  ["management", "signs in here, and sees what is in its virtual hosts"],
  ["policymaker", "sets policies and parameters, too"],
  ["monitoring", "sees all virtual hosts, connections and the node"],
  ["administrator", "may do everything here"],
  ["impersonator", "publishes messages in the name of other users"],
];

export function Tags({ of }: { of: string[] }) {
  if (of.length === 0) return <span class="muted">none</span>;
  return (
    <span class="badges">
      {of.map((tag) => (
        <Badge key={tag} tone={tag === "administrator" ? "accent" : undefined}>
          {tag}
        </Badge>
      ))}
    </span>
  );
}

interface TagsFieldProps {
  value: string[];
  onChange: (value: string[]) => void;
}

export function TagsField({ value, onChange }: TagsFieldProps) {
  // Others may be there that mean something to somebody else.
  const others = value.filter((tag) => !KNOWN.some(([known]) => known === tag));
  const all = [
    ...KNOWN,
    ...others.map((tag): [string, string] => [tag, "not known to the broker"]),
  ];
  return (
    <fieldset>
      <legend>Tags</legend>
      {all.map(([tag, meaning]) => (
        <label key={tag} class="inline tag-choice">
          <input
            type="checkbox"
            checked={value.includes(tag)}
            onChange={(event) =>
              onChange(
                event.currentTarget.checked
                  ? [...value, tag]
                  : value.filter((other) => other !== tag),
              )
            }
          />
          <span>
            {tag} <span class="muted">– {meaning}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
