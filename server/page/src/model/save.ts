// Files that the browser saves.

/** Has the browser save this as a file of this name. */
export function save(name: string, what: Blob): void {
  const address = URL.createObjectURL(what);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // Some browsers begin later.
  window.setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
