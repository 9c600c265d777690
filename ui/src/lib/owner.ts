import { load, save, tabKeys } from './storage.ts';

/**
 * Says whose words this tab keeps from now on. A conversation and a draft outlive a session that ended, but only for the
 * person who wrote them: for somebody else they are removed. Tells whether they were.
 */
export function claimTab(name: string): boolean {
  const before = load('session', tabKeys.owner);
  save('session', tabKeys.owner, name);
  if (before === undefined || before === name) return false;
  save('session', tabKeys.conversation, undefined);
  save('session', tabKeys.draft, undefined);
  return true;
}
