/** Browser storage that may be missing, full or forbidden; then nothing is kept and nothing breaks. */
function area(kind: 'local' | 'session'): Storage | undefined {
  try {
    return kind === 'local' ? window.localStorage : window.sessionStorage;
  } catch {
    return undefined;
  }
}

/** What a tab keeps over a reload. */
export const tabKeys = {
  conversation: 'portico.conversation',
  draft: 'portico.draft',
  owner: 'portico.owner',
} as const;

export function load(kind: 'local' | 'session', key: string): string | undefined {
  try {
    return area(kind)?.getItem(key) ?? undefined;
  } catch {
    return undefined;
  }
}

export function save(kind: 'local' | 'session', key: string, value: string | undefined): void {
  try {
    if (value === undefined) area(kind)?.removeItem(key);
    else area(kind)?.setItem(key, value);
  } catch {
    // Full or forbidden: the page goes on without.
  }
}
